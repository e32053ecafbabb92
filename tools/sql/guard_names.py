"""What a query may be made of: node classes of sqlglot, types and functions; whatever is not named here is refused.

Functions are kept by name, per dialect, as a person writes them: the guard reads every call as it stands and never translates it.
None of them reads a file, a setting, another session or a table by its name, runs SQL it was given, or changes anything.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


NODES = _words("""
    Select From Where Group Having Qualify Order Ordered Limit LimitOptions Offset Fetch Distinct Subquery Union Intersect Except
    With CTE RecursiveWithSearch Values Tuple Table TableAlias Alias PivotAlias Join Lateral Unnest TableSample Pivot UnpivotColumns
    PivotAny ColumnDef Identifier Column Star Dot Paren Var Window WindowSpec Filter WithinGroup IgnoreNulls RespectNulls FirstValue LastValue NthValue Lag Lead Cube Rollup
    GroupingSets HavingMax
    Literal Null Boolean National HexString BitString ByteString RawString UnicodeString Introducer Interval IntervalSpan DataType
    DataTypeParam
    And Or Not Xor EQ NEQ GT GTE LT LTE Is In Between Like ILike SimilarTo Escape Glob RegexpLike RegexpILike NullSafeEQ NullSafeNEQ
    Add Sub Mul Div IntDiv Mod Pow Neg BitwiseAnd BitwiseOr BitwiseXor BitwiseNot BitwiseLeftShift BitwiseRightShift DPipe Concat
    Collate Exists Any All Case If Cast TryCast AtTimeZone Overlaps Distance
    Anonymous AnonymousAggFunc Extract Substring Trim GroupConcat Chr Ceil Floor StrPosition Overlay Initcap Normalize Decode Encode
    CurrentDate CurrentTime CurrentTimestamp CurrentDatetime Localtime Localtimestamp Abs Sqrt Cbrt Max Min ArgMax ArgMin
    PercentileCont PercentileDisc ApproxQuantile Quantile DateTrunc
    JSONExtract JSONExtractScalar JSONBExtract JSONBExtractScalar JSONPath JSONPathRoot JSONPathKey JSONPathSubscript JSONPathSlice
    JSONPathUnion JSONPathWildcard JSONPathRecursive JSONPathSelector JSONObject JSONObjectAgg JSONArrayAgg JSONKeyValue JSONBContains
    JSONBContainsTopKey JSONBContainsAllTopKeys JSONBContainsAnyTopKeys JSONBDeleteAtPath JSONBPathExists JSONTable JSONSchema JSONColumnDef JSONValue
    JSONBObjectAgg FormatJson JSONArrayContains OnCondition
    Array ArrayContainsAll ArrayContainedBy ArrayOverlaps ArrayContains Bracket Slice Struct PropertyEQ Kwarg Lambda Comprehension Map
    ToMap List Adjacent ExtendsLeft ExtendsRight MatchAgainst StartsWith XMLElement CharacterSet PositionalColumn
    """)

TYPES = _words("""
    ARRAY BIGDECIMAL BIGINT BIT BINARY BLOB BOOLEAN CHAR BPCHAR DATE DATE32 DATETIME DATETIME2 DECIMAL DOUBLE FLOAT INET INT
    INT128 INT256 INTERVAL JSON JSONB LIST LONGTEXT MAP MEDIUMINT MEDIUMTEXT MONEY NCHAR NVARCHAR SMALLINT SMALLMONEY STRUCT
    TEXT TIME TIMESTAMP TIMESTAMPLTZ TIMESTAMPNTZ TIMESTAMPTZ TIMESTAMP_MS TIMESTAMP_NS TIMESTAMP_S TIMETZ TINYBLOB TINYINT
    TINYTEXT UBIGINT UDECIMAL UDOUBLE UINT UINT128 UMEDIUMINT UNKNOWN USMALLINT UTINYINT UUID VARBINARY VARCHAR XML YEAR
    TSRANGE TSTZRANGE DATERANGE NUMRANGE INT4RANGE INT8RANGE TSMULTIRANGE TSTZMULTIRANGE DATEMULTIRANGE NUMMULTIRANGE INT4MULTIRANGE
    INT8MULTIRANGE CHARACTER_SET HSTORE VECTOR NAME SERIAL GEOMETRY
    """)

NAMED_TYPES = _words("citext tsvector tsquery cidr macaddr point line lseg box path polygon circle numeric bytea")
"""Types that sqlglot knows only by name."""

_COMMON = """
    abs acos asin atan atan2 avg ceil ceiling coalesce concat concat_ws cos count cume_dist degrees dense_rank exp first_value floor
    greatest lag last_value lead least length ln log log10 log2 lower lpad ltrim max min mod nth_value ntile nullif
    percent_rank pi power pow radians rank replace reverse round row_number rpad rtrim sign sin sqrt substr substring sum tan trim
    upper repeat left right position trunc truncate
"""

FUNCTIONS: dict[str, frozenset[str]] = {
    "sqlite": _words(
        _COMMON
        + """
        acosh asinh atanh cosh sinh tanh char date datetime format glob group_concat hex ifnull iif if instr json json_array
        json_array_length json_each json_error_position json_extract json_group_array json_group_object json_insert json_object
        json_patch json_pretty json_quote json_remove json_replace json_set json_tree json_type json_valid jsonb julianday like
        likelihood likely median nullif octet_length percentile percentile_cont percentile_disc printf quote random randomblob
        soundex strftime string_agg time timediff total typeof unhex unicode unixepoch unlikely zeroblob match bm25 highlight snippet
        """
    ),
    "postgres": _words(
        _COMMON
        + """
        age any_value array array_agg array_append array_cat array_dims array_fill array_length array_lower array_ndims
        array_position array_positions array_prepend array_remove array_replace array_to_json array_to_string array_upper ascii
        bit_and bit_count bit_length bit_or bit_xor bool_and bool_or btrim cardinality cbrt char_length character_length chr
        clock_timestamp convert_from convert_to corr cot covar_pop covar_samp date date_bin date_part date_trunc decode div encode
        erf every factorial format gcd generate_series generate_subscripts get_bit get_byte grouping inet_merge initcap isfinite
        json json_agg json_array json_array_elements json_array_elements_text json_array_length json_build_array json_build_object
        json_each json_each_text json_extract_path json_extract_path_text json_object json_object_agg json_object_keys
        json_populate_record json_strip_nulls json_to_record json_to_recordset json_typeof jsonb jsonb_agg jsonb_array_elements
        jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text jsonb_exists
        jsonb_extract_path jsonb_extract_path_text jsonb_insert jsonb_object jsonb_object_agg jsonb_object_keys jsonb_path_exists
        jsonb_path_match jsonb_path_query jsonb_path_query_array jsonb_path_query_first jsonb_pretty jsonb_set jsonb_strip_nulls
        jsonb_to_record jsonb_to_recordset jsonb_typeof justify_days justify_hours justify_interval lcm lower_inc lower_inf
        make_date make_interval make_time make_timestamp make_timestamptz max md5 min_scale mode normalize now num_nonnulls num_nulls
        numrange int4range int8range tsrange tstzrange daterange octet_length overlay percentile_cont percentile_disc
        phraseto_tsquery plainto_tsquery quote_ident quote_literal quote_nullable random range_agg range_intersect_agg range_merge
        regexp_count regexp_instr regexp_like regexp_match regexp_matches regexp_replace regexp_split_to_array
        regexp_split_to_table regexp_substr regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy
        regr_syy row row_to_json scale set_bit set_byte setweight sha224 sha256 sha384 sha512 similarity
        word_similarity unaccent levenshtein soundex metaphone difference split_part starts_with statement_timestamp stddev
        stddev_pop stddev_samp string_agg string_to_array string_to_table strip strpos timeofday timezone to_ascii to_char to_date
        to_hex to_json to_jsonb to_number to_timestamp to_tsquery to_tsvector transaction_timestamp translate trim_array
        trim_scale ts_headline ts_rank ts_rank_cd ts_lexize tsvector_to_array numnode querytree unnest upper_inc upper_inf isempty
        host family masklen netmask network broadcast abbrev hostmask var_pop var_samp variance websearch_to_tsquery width_bucket
        xmlagg xmlforest xmlelement xmlconcat gen_random_uuid pg_typeof area center diameter height width isclosed isopen npoints
        radius cosh sinh tanh acosh asinh atanh cosd sind tand acosd asind atand atan2d cotd json_scalar json_serialize
        json_arrayagg json_objectagg json_exists json_query json_value extract array_sample array_shuffle random_normal
        """
    ),
    "mysql": _words(
        _COMMON
        + """
        adddate addtime any_value ascii bin bin_to_uuid bit_and bit_count bit_length bit_or bit_xor cast char char_length
        character_length coercibility collation convert conv convert_tz cot crc32 curdate current_date current_time
        current_timestamp curtime date date_add date_format date_sub datediff day dayname dayofmonth dayofweek dayofyear elt
        export_set extract extractvalue field find_in_set format from_base64 from_days from_unixtime get_format group_concat
        grouping hex hour if ifnull inet6_aton inet6_ntoa inet_aton inet_ntoa insert instr interval is_ipv4 is_ipv6 is_uuid isnull
        json_array json_array_append json_array_insert json_arrayagg json_compact json_contains json_contains_path json_depth
        json_detailed json_exists json_extract json_insert json_keys json_length json_loose json_merge_patch json_merge_preserve
        json_object json_objectagg json_overlaps json_pretty json_query json_quote json_remove json_replace json_search json_set
        json_type json_unquote json_valid json_value last_day lcase localtime localtimestamp locate ltrim make_set makedate maketime
        match md5 median microsecond mid minute month monthname now nvl nvl2 oct octet_length ord percentile_cont percentile_disc
        period_add period_diff quarter quote rand regexp_instr row regexp_like regexp_replace regexp_substr rlike sec_to_time second
        sha sha1 sha2 soundex space std stddev stddev_pop stddev_samp str_to_date strcmp subdate substring_index subtime sysdate
        time time_format time_to_sec timediff timestamp timestampadd timestampdiff to_base64 to_char to_days to_seconds ucase
        unhex unix_timestamp updatexml utc_date utc_time utc_timestamp uuid uuid_to_bin var_pop var_samp variance week weekday
        weekofyear weight_string year yearweek values
        """
    ),
    "duckdb": _words(
        _COMMON
        + """
        array acosh asinh atanh cosh sinh tanh aggregate any_value apply approx_count_distinct approx_quantile approx_top_k arbitrary
        arg_max arg_max_null arg_min arg_min_null argmax argmin array_agg array_aggregate array_append array_apply array_cat
        array_concat array_contains array_cosine_distance array_cosine_similarity array_cross_product array_distance array_distinct
        array_extract array_filter array_grade_up array_has array_has_all array_has_any array_indexof array_inner_product
        array_intersect array_length array_pop_back array_pop_front array_position array_prepend array_push_back array_push_front
        array_reduce array_resize array_reverse array_reverse_sort array_select array_slice array_sort array_to_json
        array_to_string array_transform array_unique array_value array_where array_zip ascii avg bar base64 bin bit_and bit_count
        bit_length bit_or bit_position bit_xor bitstring bitstring_agg bool_and bool_or cardinality cbrt century
        char_length character_length chr columns contains corr cot covar_pop covar_samp current_date
        current_localtime current_localtimestamp count_if countif count_star current_time current_timestamp damerau_levenshtein date date_add date_diff
        date_part date_sub date_trunc datediff datepart datesub datetrunc day dayname dayofmonth dayofweek dayofyear decade decode
        editdist3 element_at encode ends_with entropy enum_code enum_first enum_last enum_range epoch epoch_ms epoch_ns epoch_us
        equi_width_bins era even extract factorial favg fdiv filter first flatten fmod format
        format_bytes formatreadabledecimalsize formatreadablesize from_base64 from_binary from_hex from_json from_json_strict fsum
        gamma gcd gen_random_uuid generate_series generate_subscripts geomean geometric_mean get_bit get_current_time
        get_current_timestamp grade_up greatest_common_divisor group_concat grouping grouping_id hamming hash hex histogram
        histogram_exact histogram_values hour if ifnull instr is_histogram_other_bin isfinite isinf isnan isodow isoyear
        jaccard jaro_similarity jaro_winkler_similarity json json_array json_array_length json_contains json_each json_exists
        json_extract json_extract_path json_extract_path_text json_extract_string json_group_array json_group_object
        json_group_structure json_keys json_merge_patch json_object json_pretty json_quote json_structure
        json_transform json_transform_strict json_tree json_type json_valid json_value julian kahan_sum kurtosis kurtosis_pop last
        last_day lcase lcm least_common_multiple len levenshtein lgamma like_escape list list_aggr list_aggregate
        list_any_value list_append list_apply list_approx_count_distinct list_avg list_bit_and list_bit_or list_bit_xor
        list_bool_and list_bool_or list_cat list_concat list_contains list_cosine_distance list_cosine_similarity list_count
        list_distance list_distinct list_element list_entropy list_extract list_filter list_first list_grade_up list_has
        list_has_all list_has_any list_histogram list_indexof list_inner_product list_intersect list_kurtosis list_last list_mad
        list_max list_median list_min list_mode list_pack list_position list_prepend list_product list_reduce list_resize
        list_reverse list_reverse_sort list_select list_sem list_skewness list_slice list_sort list_stddev_pop list_stddev_samp
        list_string_agg list_sum list_transform list_unique list_value list_var_pop list_var_samp list_where list_zip listagg
        localtime localtimestamp mad make_date make_time make_timestamp make_timestamptz map map_concat map_contains map_entries
        map_extract map_extract_value map_from_entries map_keys map_values max_by md5 md5_number mean median microsecond millennium
        millisecond min_by minute mismatches mode month monthname multiply nanosecond nextafter nfc_normalize not_ilike_escape
        not_like_escape now octet_length ord parse_dirname parse_dirpath parse_filename parse_path percentile_cont percentile_disc
        prefix printf product quantile quantile_cont quantile_disc quarter random range rank_dense reduce regexp_count
        regexp_escape regexp_extract regexp_extract_all regexp_full_match regexp_matches regexp_replace regexp_split_to_array
        regexp_split_to_table regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy
        reservoir_quantile round_even roundbankers row row_to_json second sem set_bit sha1 sha256 signbit skewness split split_part
        stddev stddev_pop stddev_samp str_split str_split_regex strftime string_agg string_split string_split_regex string_to_array
        strip_accents strlen strpos strptime struct_concat struct_contains struct_extract struct_extract_at struct_has
        struct_insert struct_keys struct_pack struct_position struct_update struct_values subtract sumkahan
        suffix time_bucket timetz_byte_comparable timezone timezone_hour timezone_minute to_base to_base64 to_binary to_centuries
        to_days to_decades to_hex to_hours to_json to_microseconds to_millennia to_milliseconds to_minutes to_months to_quarters
        to_seconds to_timestamp to_weeks to_years today transaction_timestamp translate try try_cast try_strptime typeof ucase
        unbin unhex unicode union_extract union_tag union_value unnest unpivot_list url_decode url_encode uuid uuidv4 uuidv7
        var_pop var_samp variance vector_type week weekday weekofyear wavg weighted_avg xor year yearweek add age starts_with
        concat_ws jsonb timediff datetime
        """
    ),
}
"""Dialect → names of functions, in lower case."""

ACTS = (
    "pg_",
    "lo_",
    "lowrite",
    "loread",
    "dblink",
    "load_",
    "xp_",
    "sys_",
    "pragma_",
    "duckdb_",
    "read_",
    "write",
    "query",
    "file_",
)
"""How names begin of functions that act on the server or read beyond the tables."""

ACTING = _words("""
    nextval setval currval lastval set_config current_setting sleep benchmark get_lock release_lock release_all_locks is_free_lock
    master_pos_wait readfile writefile edit fsdir eval txid_current ts_stat query_to_xml table_to_xml schema_to_xml database_to_xml
    cursor_to_xml fts3_tokenizer glob getenv getvariable sniff_csv parquet_scan parquet_metadata sqlite_scan postgres_scan
    mysql_scan checkpoint force_checkpoint notify
    """)
"""Further ones."""

SYSTEM_VALUES = _words("""
    user current_user session_user system_user current_role current_catalog current_schema current_database current_query
    """)
"""Names without brackets that tell of the session."""

PSEUDO_COLUMNS: dict[str, frozenset[str]] = {
    "sqlite": _words("rowid oid _rowid_"),
    "duckdb": _words("rowid"),
    "postgres": frozenset(),
    "mysql": frozenset(),
}
"""Columns that tables have without naming them."""

UNITS = _words("""
    microsecond millisecond second minute hour day week month quarter year dayofweek dayofyear weekday isodow isoyear epoch
    sql_tsi_second sql_tsi_minute sql_tsi_hour sql_tsi_day sql_tsi_week sql_tsi_month sql_tsi_quarter sql_tsi_year
    date time datetime char binary unsigned signed
    """)
"""Words that stand as an argument and look like a column: `TIMESTAMPDIFF(YEAR, a, b)`."""

QUERY_WORDS: dict[str, frozenset[str]] = {
    "sqlite": _words("SELECT WITH VALUES ("),
    "postgres": _words("SELECT WITH VALUES TABLE ("),
    "mysql": _words("SELECT WITH VALUES TABLE ("),
    "duckdb": _words("SELECT WITH VALUES TABLE FROM PIVOT UNPIVOT ("),
}
"""What a query begins with."""

STATEMENT_WORDS = _words("""
    ABORT ALTER ANALYZE ATTACH BEGIN BINLOG CACHE CALL CHANGE CHECKPOINT CLOSE CLUSTER COMMENT COMMIT COPY CREATE DEALLOCATE DECLARE
    DELETE DESC DESCRIBE DETACH DISCARD DO DROP END EXECUTE EXPLAIN EXPORT FETCH FLUSH FORCE GRANT HANDLER IMPORT INSERT INSTALL KILL
    LISTEN LOAD LOCK MERGE MOVE NOTIFY OPTIMIZE PIVOT PRAGMA PREPARE PURGE REASSIGN REFRESH REINDEX RELEASE RENAME REPAIR REPLACE RESET
    REVOKE ROLLBACK SAVEPOINT SECURITY SET SHOW SHUTDOWN START STOP SUMMARIZE TRUNCATE UNINSTALL UNLISTEN UNLOCK UPDATE USE VACUUM XA
    """)
"""What other statements begin with."""
