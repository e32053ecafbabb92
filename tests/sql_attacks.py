"""Statements that try to read or change more of the shop than its policy shows, by dialect."""

EVERYWHERE = r"""
SELECT ssn FROM customers
SELECT Ssn FROM customers
SELECT c.ssn FROM customers c
SELECT customers.ssn FROM customers
SELECT name FROM customers WHERE ssn LIKE 'CANARYSSN-0001%'
SELECT name FROM customers ORDER BY ssn DESC LIMIT 1
SELECT count(DISTINCT ssn) FROM customers
SELECT max(salary) OVER (PARTITION BY department) FROM employees
SELECT department, sum(salary) FROM employees GROUP BY department
SELECT 1 FROM customers GROUP BY ssn HAVING count(*) > 0
SELECT CASE WHEN ssn > 'A' THEN 1 ELSE 0 END FROM customers
SELECT coalesce(NULL, ssn) FROM customers
SELECT a.id FROM customers a JOIN customers b ON a.ssn = b.ssn AND a.id < b.id
SELECT x.ssn FROM (SELECT * FROM customers) x
SELECT x.s FROM (SELECT ssn AS s FROM customers) x
WITH c AS (SELECT * FROM customers) SELECT ssn FROM c
WITH c AS (SELECT ssn AS z FROM customers) SELECT z FROM c
WITH customers AS (SELECT * FROM customers) SELECT ssn FROM customers
WITH employees AS (SELECT salary FROM employees) SELECT * FROM employees
WITH a AS (SELECT * FROM employees), b AS (SELECT * FROM a) SELECT salary FROM b
SELECT (SELECT max(e.salary) FROM employees e WHERE e.id = o.id) FROM orders o
SELECT o.id FROM orders o WHERE EXISTS (SELECT 1 FROM customers c WHERE c.ssn = 'x' OR 1 = 1)
SELECT id FROM orders UNION SELECT ssn FROM customers
SELECT id FROM orders UNION ALL SELECT salary FROM employees ORDER BY 1
SELECT id FROM orders WHERE id IN (SELECT salary FROM employees)
SELECT email, phone FROM customers WHERE email LIKE 'canary.email1@%'
SELECT substr(email, 1, 1), count(*) FROM customers GROUP BY 1
SELECT min(email), max(phone) FROM customers
SELECT a.id FROM customers a JOIN customers b ON a.email > b.email
SELECT name FROM customers ORDER BY phone, email
SELECT * FROM customers c JOIN employees e ON c.id = e.id
SELECT e.*, c.* FROM employees e, customers c
SELECT * FROM secrets
SELECT token FROM secrets
SELECT s.* FROM orders o, secrets s
SELECT (SELECT token FROM secrets LIMIT 1)
SELECT id FROM orders WHERE 'CANARYTOKEN-1' IN (SELECT token FROM secrets)
WITH secrets AS (SELECT * FROM secrets) SELECT * FROM secrets
WITH RECURSIVE secrets AS (SELECT * FROM secrets) SELECT * FROM secrets
WITH RECURSIVE secrets AS (SELECT token FROM secrets UNION ALL SELECT token FROM secrets) SELECT * FROM secrets
WITH a AS (SELECT 1 AS x), secrets AS (SELECT token FROM secrets) SELECT * FROM a, secrets
WITH a AS (SELECT token FROM secrets), secrets AS (SELECT 1 AS token) SELECT * FROM a
WITH a AS (WITH secrets AS (SELECT 1 AS token) SELECT * FROM secrets) SELECT token FROM secrets
SELECT * FROM (WITH secrets AS (SELECT 1 AS token) SELECT * FROM secrets) x, secrets y
WITH secrets AS (SELECT 1 AS token) SELECT * FROM secrets UNION SELECT token FROM shop.secrets
WITH "Secrets" AS (SELECT 1 AS token) SELECT * FROM secrets
SELECT msg FROM audit_log
SELECT code FROM v_leak
SELECT * FROM v_leak NATURAL JOIN orders
DELETE FROM orders
UPDATE orders SET total = 0
INSERT INTO orders SELECT * FROM orders
CREATE TABLE stolen AS SELECT * FROM secrets
DROP TABLE orders
ALTER TABLE orders ADD COLUMN x INTEGER
SELECT 1; DROP TABLE orders
SELECT 1 FROM orders; DELETE FROM orders WHERE 1 = 1 --
BEGIN
COMMIT
EXPLAIN ANALYZE DELETE FROM orders
WITH x AS (DELETE FROM orders RETURNING *) SELECT * FROM x
SELECT id FROM orders WHERE id = ?
SELECT id FROM orders WHERE id = :id
SELECT name FROM customers LIMIT (SELECT count(*) FROM secrets)
SELECT name FROM customers ORDER BY (SELECT max(token) FROM secrets)
SELECT id, sum(total) OVER (ORDER BY (SELECT max(ssn) FROM customers)) FROM orders
SELECT 'a' FROM customers AS ssn GROUP BY ssn.ssn
SELECT name AS ssn FROM customers WHERE ssn = 'CANARYSSN-0001'
SELECT id FROM orders o JOIN customers c ON o.id = c.id AND EXISTS (SELECT 1 FROM secrets)
SELECT count(*) FROM customers c1 JOIN customers c2 USING (id, ssn)
SELECT name FROM customers WHERE (name, ssn) IN (SELECT name, ssn FROM customers)
SELECT name FROM customers WHERE (SELECT ssn) > 'A'
SELECT name FROM customers c WHERE EXISTS (SELECT c.ssn)
SELECT (SELECT c.ssn FROM orders LIMIT 1) FROM customers c
SELECT x FROM (SELECT (SELECT c.ssn) AS x FROM customers c) y
""".strip().splitlines()

SQLITE = r"""
SELECT "ssn" FROM customers
SELECT `ssn` FROM customers
SELECT [ssn] FROM customers WHERE [ssn] > ''
SELECT main.customers.ssn FROM main.customers
SELECT "main"."customers"."ssn" FROM customers
SELECT rowid, * FROM secrets
SELECT id FROM orders WHERE 'CANARYTOKEN-1' IN secrets
SELECT 1 IN secrets
SELECT (1, 'CANARYTOKEN-1') IN secrets
SELECT (1, 'CANARYTOKEN-1') IN main.secrets
SELECT (1, 'CANARYTOKEN-1') IN "secrets"
SELECT 1 IN (secrets)
SELECT * FROM temp.secrets
SELECT * FROM sqlite_master
SELECT sql FROM main.sqlite_master
SELECT * FROM sqlite_schema
SELECT * FROM sqlite_temp_schema
SELECT * FROM pragma_table_info('customers')
SELECT * FROM pragma_table_list
SELECT name FROM pragma_function_list()
SELECT * FROM dbstat
SELECT * FROM sqlite_stat1
SELECT * FROM json_each
SELECT load_extension('x')
SELECT readfile('/etc/passwd')
SELECT writefile('/tmp/x', 'y')
SELECT sqlite_version(), sqlite_source_id()
SELECT fts5(NULL)
SELECT changes(), total_changes(), last_insert_rowid()
ATTACH DATABASE '/tmp/x.db' AS x
DETACH DATABASE main
PRAGMA table_info(customers)
PRAGMA query_only = OFF
VACUUM INTO '/tmp/x.db'
REINDEX
ANALYZE
REPLACE INTO orders (id) VALUES (1)
SELECT * FROM customers INDEXED BY sqlite_autoindex_customers_1
SELECT name FROM customers WHERE ssn IS NOT NULL
SELECT name FROM customers WHERE name = ssn
SELECT group_concat(ssn) FROM customers
SELECT json_group_array(json_array(name, ssn)) FROM customers
SELECT json_object('s', salary) FROM employees
SELECT e.value FROM customers c, json_each(json_array(c.ssn)) e
SELECT name FROM customers WHERE ssn GLOB 'C*'
SELECT hex("ssn"), quote("ssn") FROM customers
SELECT name FROM customers WHERE "ssn" BETWEEN 'C' AND 'D'
SELECT name FROM customers ORDER BY "ssn"
SELECT name FROM customers GROUP BY "ssn"
SELECT total(salary), avg(salary) FROM employees
SELECT iif(salary > 1, 1, 0) FROM employees
SELECT email IS NOT NULL, phone IS NULL, email || phone FROM customers
SELECT unicode(email), instr(email, 'c'), length(phone) FROM customers
SELECT id FROM customers WHERE email MATCH 'canary'
SELECT id FROM customers WHERE phone IN (SELECT phone FROM customers LIMIT 3)
SELECT c.name FROM customers AS c NATURAL JOIN (SELECT 'CANARYSSN-0001' AS ssn) AS s
SELECT s.ssn FROM customers AS c NATURAL JOIN (SELECT 'x' AS ssn) AS s WHERE c.ssn = s.ssn
VALUES ((SELECT token FROM secrets))
SELECT * FROM (VALUES ((SELECT max(ssn) FROM customers)))
SELECT 1 WHERE (SELECT count(*) FROM secrets) > 0
SELECT name FROM customers LIMIT (SELECT salary FROM employees LIMIT 1)
SELECT name FROM customers LIMIT 1 OFFSET (SELECT count(*) FROM secrets)
SELECT sum(total) FILTER (WHERE id IN (SELECT id FROM secrets)) FROM orders
SELECT id FROM orders WINDOW w AS (ORDER BY (SELECT token FROM secrets))
SELECT id FROM orders, (secrets)
SELECT id FROM (orders JOIN secrets ON 1)
SELECT id FROM ((secrets))
SELECT * FROM orders LEFT JOIN (secrets AS s JOIN audit_log) ON 1
SELECT 1 /* ; */ ; /* x */ DELETE FROM orders
SELECT 'a' -- '
SELECT CAST(ssn AS BLOB) FROM customers
SELECT ssn COLLATE NOCASE FROM customers
SELECT -salary, +salary, ~salary, salary ISNULL FROM employees
SELECT randomblob(salary) FROM employees
SELECT printf('%s', ssn) FROM customers
SELECT oid, _rowid_ FROM customers
WITH RECURSIVE r(s) AS (SELECT ssn FROM customers UNION SELECT s FROM r) SELECT * FROM r
WITH a AS (SELECT * FROM b), b AS (SELECT token FROM secrets) SELECT * FROM a
WITH sqlite_master AS (SELECT * FROM sqlite_master UNION SELECT * FROM sqlite_master) SELECT * FROM sqlite_master
""".strip().splitlines()

POSTGRES = r"""
SELECT "ssn" FROM customers
SELECT U&"ss\006E" FROM customers
SELECT u&"\0073sn" FROM customers
SELECT public.customers.ssn FROM public.customers
SELECT c FROM customers c
SELECT customers FROM customers
SELECT c.* FROM customers c
SELECT (c).* FROM customers c
SELECT (c).ssn FROM customers c
SELECT (customers).ssn FROM customers
SELECT ((SELECT c FROM customers c LIMIT 1)).*
SELECT row_to_json(c) FROM customers c
SELECT to_json(c), to_jsonb(c) FROM customers c
SELECT json_agg(c) FROM customers c
SELECT array_agg(c) FROM customers c
SELECT c::text FROM customers c
SELECT cast(c AS text) FROM customers c
SELECT c.ssn::text FROM customers c
SELECT md5(c::text) FROM customers c
SELECT ROW(c.*) FROM customers c
SELECT ROW(e.*) FROM employees e
SELECT e IS NULL, e = e FROM employees e
SELECT jsonb_each(to_jsonb(c)) FROM customers c
SELECT x.* FROM customers c, LATERAL (SELECT c.*) x
SELECT x.ssn FROM customers c, LATERAL (SELECT c.ssn) x
SELECT x.v FROM customers c, LATERAL (VALUES (c.ssn)) x(v)
SELECT jsonb_populate_record(NULL::customers, to_jsonb(c)) FROM customers c
SELECT NULL::customers
SELECT NULL::secrets
SELECT 'secrets'::regclass
SELECT CAST('secrets' AS regclass)
SELECT 1::regproc
SELECT c.row_to_json FROM customers c
SELECT c.to_jsonb FROM customers c
SELECT c.text FROM customers c
SELECT ctid, xmin, tableoid FROM customers
SELECT tableoid::regclass FROM orders
SELECT * FROM ONLY customers
SELECT ssn FROM ONLY customers
SELECT * FROM customers *
SELECT ssn FROM customers TABLESAMPLE SYSTEM (100)
TABLE customers
TABLE secrets
SELECT * FROM hr.customers
SELECT * FROM pg_catalog.pg_class
SELECT * FROM pg_class
SELECT * FROM "pg_class"
SELECT * FROM pg_stats WHERE attname = 'ssn'
SELECT * FROM information_schema.columns
WITH pg_class AS (SELECT 1) SELECT * FROM pg_catalog.pg_class
WITH RECURSIVE pg_class AS (SELECT * FROM pg_class) SELECT * FROM pg_class
WITH "PG_CLASS" AS (SELECT 1) SELECT * FROM pg_class
SELECT pg_read_file('/etc/passwd')
SELECT pg_catalog.pg_read_file('/etc/passwd')
SELECT "pg_catalog"."pg_sleep"(1)
SELECT pg_sleep(1), pg_terminate_backend(1), pg_reload_conf()
SELECT query_to_xml('SELECT ssn FROM customers', true, true, '')
SELECT * FROM query_to_json('x')
SELECT table_to_xml('secrets', true, true, '')
SELECT xpath('//x', query_to_xml('select 1', true, true, ''))
SELECT lo_import('/etc/passwd'), lo_export(1, '/tmp/x')
SELECT dblink_exec('dbname=x', 'drop table orders')
SELECT nextval('s'), setval('s', 1), currval('s'), lastval()
SELECT set_config('role', 'postgres', false)
SELECT current_setting('data_directory'), version(), current_user, session_user, user
SELECT current_database(), inet_client_addr(), pg_backend_pid()
SELECT has_table_privilege('secrets', 'select'), to_regclass('secrets'), pg_relation_size('secrets')
SELECT obj_description(1), col_description(1, 1), format_type(1, 1)
SELECT pg_get_viewdef('v_leak'), pg_get_expr(NULL, 0)
SELECT txid_current(), pg_export_snapshot(), pg_current_wal_lsn()
SELECT ts_stat('SELECT to_tsvector(ssn) FROM customers')
SELECT ts_rewrite('a'::tsquery, 'SELECT 1, 2')
SELECT cursor_to_xml('c', 1, true, true, '')
SELECT * FROM ROWS FROM (pg_ls_dir('/'))
SELECT x FROM pg_ls_dir('/') AS x
SELECT name FROM customers FOR UPDATE
SELECT name FROM customers FOR SHARE
SELECT id INTO stolen FROM orders
SELECT * INTO TEMP stolen FROM secrets
COPY secrets TO STDOUT
COPY (SELECT * FROM secrets) TO PROGRAM 'cat'
DO $$ BEGIN PERFORM 1; END $$
CALL x()
PREPARE p AS SELECT * FROM secrets
DECLARE c CURSOR FOR SELECT * FROM secrets
SET search_path TO secret
RESET ALL
SHOW ALL
LOCK TABLE orders
NOTIFY x
EXPLAIN SELECT * FROM secrets
WITH x AS (INSERT INTO orders (id) VALUES (1) RETURNING id) SELECT * FROM x
WITH x AS (UPDATE orders SET total = 0 RETURNING total) SELECT * FROM x
MERGE INTO orders o USING orders p ON o.id = p.id WHEN MATCHED THEN DELETE
SELECT name FROM customers WHERE ssn ~ '^C'
SELECT name FROM customers WHERE ssn OPERATOR(pg_catalog.=) 'x'
SELECT name OPERATOR(pg_catalog.||) ssn FROM customers
SELECT DISTINCT ON (ssn) name FROM customers
SELECT name FROM customers ORDER BY ssn USING >
SELECT string_agg(ssn, ',') FROM customers
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY salary) FROM employees
SELECT mode() WITHIN GROUP (ORDER BY ssn) FROM customers
SELECT count(*) FILTER (WHERE salary > 1) FROM employees
SELECT width_bucket(salary, 0, 1000000, 10) FROM employees
SELECT ARRAY(SELECT ssn FROM customers)
SELECT unnest(ARRAY(SELECT token FROM secrets))
SELECT * FROM unnest((SELECT array_agg(token) FROM secrets))
SELECT generate_series(1, (SELECT max(salary) FROM employees)::int) LIMIT 1
SELECT email ~ 'canary', phone SIMILAR TO '+1%' FROM customers
SELECT E'\x5c' || E'\\' || ssn FROM customers
SELECT E'\'' FROM secrets
SELECT 'a' FROM customers WHERE $1 = ssn
SELECT $$a$$ FROM secrets
SELECT 1 AS "ssn" FROM customers GROUP BY customers.ssn
SELECT * FROM customers c NATURAL JOIN customers d
SELECT d.ssn FROM customers c NATURAL JOIN (SELECT 'CANARYSSN-0001' AS ssn, 1 AS id) d
SELECT ssn FROM customers c JOIN (SELECT 'CANARYSSN-0001' AS ssn) d USING (ssn)
SELECT * FROM JSON_TABLE((SELECT json_agg(token) FROM secrets), '$[*]' COLUMNS (t text PATH '$')) x
SELECT * FROM customers FETCH FIRST (SELECT count(*) FROM secrets) ROWS ONLY
WITH RECURSIVE r AS (SELECT id, ssn FROM customers UNION SELECT id, ssn FROM r) SELECT * FROM r
WITH RECURSIVE secrets(token) AS (SELECT 'x'::text UNION ALL SELECT token FROM secrets) SELECT * FROM secrets LIMIT 2
WITH t AS MATERIALIZED (TABLE secrets) SELECT * FROM t
SELECT (SELECT token FROM secrets) IS NULL
SELECT xmlelement(name a, ssn) FROM customers
SELECT COALESCE((c).ssn, (c).email) FROM customers c
SELECT (array_agg(c))[1].ssn FROM customers c
SELECT to_json(c)->>'ssn', to_jsonb(c)->'email' FROM customers c
SELECT jsonb_path_query(to_jsonb(c), '$.ssn') FROM customers c
SELECT set_bit(1::bit(4), 1, 1), pg_typeof(c) FROM customers c
""".strip().splitlines()

MYSQL = r"""
SELECT `ssn` FROM customers
SELECT `customers`.`ssn` FROM customers
SELECT shop.customers.ssn FROM shop.customers
SELECT shop.customers.ssn FROM customers
SELECT customers.* FROM customers
SELECT * FROM shop.secrets
SELECT * FROM `shop`.`secrets`
SELECT * FROM `secrets`
SELECT * FROM Secrets
WITH SECRETS AS (SELECT 1 AS token) SELECT * FROM secrets
SELECT * FROM (orders, secrets)
SELECT * FROM (secrets)
SELECT * FROM orders STRAIGHT_JOIN secrets
SELECT * FROM {oj orders LEFT OUTER JOIN secrets ON 1 = 1}
SELECT 1 /*! , token FROM secrets */
SELECT 1 /*!50000 UNION SELECT token FROM secrets */
SELECT 1 /*M! UNION SELECT token FROM secrets */
SELECT 1 /*M!100000 UNION SELECT token FROM secrets */
SELECT /*! ssn */ 1 FROM customers
SELECT /*+ SET_VAR(sql_mode='') */ 1
SELECT id FROM orders -- x
SELECT id FROM orders # UNION SELECT token FROM secrets
SELECT 1--1
SELECT "ssn" FROM customers WHERE "a" = "a"
SELECT name FROM customers WHERE ssn REGEXP '^C'
SELECT name FROM customers WHERE ssn RLIKE 'C'
SELECT name FROM customers WHERE NOT ssn REGEXP BINARY 'c'
SELECT name REGEXP (SELECT max(token) FROM secrets) FROM customers
SELECT GROUP_CONCAT(ssn ORDER BY ssn SEPARATOR '|') FROM customers
SELECT GROUP_CONCAT(name ORDER BY ssn) FROM customers
SELECT JSON_ARRAYAGG(ssn), JSON_OBJECTAGG(name, ssn) FROM customers
SELECT CONVERT(ssn USING utf8mb4), CAST(ssn AS CHAR), BINARY ssn FROM customers
SELECT ssn COLLATE utf8mb4_bin FROM customers
SELECT ssn SOUNDS LIKE 'x' FROM customers
SELECT LOAD_FILE('/etc/passwd')
SELECT load_file ('/etc/passwd')
SELECT `LOAD_FILE`('/etc/passwd')
SELECT SLEEP(5)
SELECT BENCHMARK(100000000, MD5('a'))
SELECT IF(1 = 1, SLEEP(5), 0)
SELECT GET_LOCK('a', 1), RELEASE_LOCK('a'), IS_FREE_LOCK('a'), IS_USED_LOCK('a')
SELECT MASTER_POS_WAIT('a', 1)
SELECT USER(), CURRENT_USER(), SESSION_USER(), SYSTEM_USER(), DATABASE(), SCHEMA(), VERSION()
SELECT CURRENT_USER
SELECT CONNECTION_ID(), LAST_INSERT_ID(), ROW_COUNT(), FOUND_ROWS()
SELECT @@version, @@global.secure_file_priv, @@datadir
SELECT @x, @x := 1
SELECT @x := token FROM secrets
SELECT id INTO @x FROM orders LIMIT 1
SELECT * INTO OUTFILE '/tmp/x' FROM orders
SELECT * FROM orders INTO OUTFILE '/tmp/x'
SELECT 'x' INTO DUMPFILE '/tmp/x'
SELECT * FROM orders LIMIT 1 INTO OUTFILE '/tmp/x' FIELDS TERMINATED BY ','
SELECT * FROM orders PROCEDURE ANALYSE()
SELECT * FROM orders FOR UPDATE
SELECT * FROM orders LOCK IN SHARE MODE
SELECT * FROM orders FOR SHARE SKIP LOCKED
SELECT NEXT VALUE FOR s
SELECT NEXTVAL(s), SETVAL(s, 1), LASTVAL(s)
SELECT * FROM information_schema.tables
SELECT * FROM mysql.user
SELECT * FROM performance_schema.threads
SELECT * FROM sys.version
SELECT * FROM INFORMATION_SCHEMA.COLUMNS
SELECT * FROM orders PARTITION (p0)
SELECT * FROM orders FOR SYSTEM_TIME ALL
SELECT name FROM customers WHERE MATCH (ssn) AGAINST ('x')
SELECT ExtractValue('<a/>', CONCAT('/', (SELECT token FROM secrets LIMIT 1)))
SELECT UpdateXML('<a/>', CONCAT('~', (SELECT MAX(ssn) FROM customers)), 'x')
SELECT EXP(~(SELECT MAX(salary) FROM employees))
SELECT * FROM JSON_TABLE((SELECT JSON_ARRAYAGG(token) FROM secrets), '$[*]' COLUMNS (t TEXT PATH '$')) x
SELECT jt.t FROM customers c, JSON_TABLE(JSON_ARRAY(c.ssn), '$[*]' COLUMNS (t TEXT PATH '$')) jt
VALUES ((SELECT token FROM secrets LIMIT 1))
TABLE secrets
(SELECT token FROM secrets)
(SELECT 1) UNION (SELECT token FROM secrets)
SELECT 1 UNION DISTINCT (SELECT ssn FROM customers) LIMIT 1
HANDLER secrets OPEN
DO SLEEP(1)
CALL x()
LOAD DATA INFILE '/etc/passwd' INTO TABLE orders
SHOW TABLES
SHOW CREATE TABLE secrets
DESCRIBE secrets
DESC customers
EXPLAIN SELECT * FROM secrets
USE mysql
SET @a = 1
SET GLOBAL general_log = 1
FLUSH TABLES
KILL 1
PREPARE s FROM 'DROP TABLE orders'
LOCK TABLES orders WRITE
RENAME TABLE orders TO x
REPLACE INTO orders (id) VALUES (1)
INSTALL PLUGIN x SONAME 'y'
XA START 'x'
SELECT salary DIV 1000, salary MOD 7, salary XOR 1, salary <=> 1 FROM employees
SELECT VALUES(salary) FROM employees
SELECT DEFAULT(ssn) FROM customers
SELECT name FROM customers ORDER BY FIELD(ssn, 'x')
SELECT name FROM customers GROUP BY ssn WITH ROLLUP
SELECT email LIKE 'canary%', ORD(email), STRCMP(phone, 'x') FROM customers
SELECT HEX(email), TO_BASE64(phone), CRC32(email) FROM customers
""".strip().splitlines()

DUCKDB = r"""
SELECT "ssn" FROM customers
SELECT main.customers.ssn FROM main.customers
SELECT c FROM customers c
SELECT customers FROM customers
SELECT c.ssn FROM (SELECT customers AS c FROM customers)
SELECT to_json(c) FROM customers c
SELECT struct_extract(c, 'ssn') FROM customers c
SELECT c['ssn'] FROM customers c
SELECT (c).ssn FROM customers c
SELECT unnest(c) FROM customers c
SELECT c::VARCHAR FROM customers c
SELECT list(c) FROM customers c
SELECT row(c) FROM customers c
SELECT {'r': c} FROM customers c
SELECT max(c), min(e) FROM customers c, employees e
SELECT hash(e) FROM employees e
SELECT COLUMNS(*) FROM customers
SELECT COLUMNS('ssn') FROM customers
SELECT COLUMNS(lambda c: c LIKE 's%') FROM customers
SELECT max(COLUMNS('s.*')) FROM employees
SELECT * EXCLUDE (name) FROM customers
SELECT * EXCLUDE (ssn) FROM customers
SELECT * REPLACE (ssn AS name) FROM customers
SELECT * REPLACE (upper(email) AS name) FROM customers
SELECT * RENAME (ssn AS x) FROM customers
SELECT * LIKE 'ss%' FROM customers
SELECT #5 FROM customers
SELECT name FROM customers ORDER BY #5
FROM customers
FROM customers SELECT ssn
FROM secrets
FROM (FROM secrets)
TABLE secrets
SUMMARIZE customers
DESCRIBE customers
SHOW TABLES
DESCRIBE SELECT * FROM secrets
SELECT * FROM (SUMMARIZE customers)
SELECT * FROM (DESCRIBE customers)
SELECT * FROM (SHOW ALL TABLES)
PIVOT customers ON ssn USING count(*)
PIVOT customers ON country USING max(ssn)
PIVOT secrets ON token USING count(*)
UNPIVOT customers ON ssn INTO NAME k VALUE v
UNPIVOT employees ON COLUMNS(*) INTO NAME k VALUE v
SELECT * FROM customers UNPIVOT (v FOR k IN (name, ssn))
SELECT * FROM employees PIVOT (max(salary) FOR department IN ('eng'))
SELECT * FROM 'data.csv'
SELECT * FROM "/etc/passwd"
SELECT * FROM '/etc/passwd'
FROM 'https://example.test/x.parquet'
SELECT * FROM read_csv('/etc/passwd')
SELECT * FROM read_text('/etc/passwd')
SELECT * FROM read_blob('*')
SELECT * FROM read_json('x'), read_ndjson('y'), read_parquet('z')
SELECT content FROM read_text('/etc/*')
SELECT '/etc/passwd'.read_text()
SELECT * FROM glob('/*')
SELECT * FROM parquet_scan('x'), parquet_schema('y'), parquet_file_metadata('z')
SELECT * FROM sqlite_scan('x', 'y')
SELECT * FROM query('SELECT token FROM secrets')
SELECT * FROM query_table('secrets')
SELECT * FROM query_table(['secrets'])
SELECT 'secrets'.query_table()
SELECT * FROM duckdb_tables()
SELECT * FROM duckdb_columns
SELECT * FROM duckdb_secrets()
SELECT * FROM pragma_table_info('secrets')
SELECT * FROM pragma_show('secrets')
SELECT * FROM information_schema.tables
SELECT * FROM sqlite_master
SELECT * FROM pg_catalog.pg_class
SELECT * FROM system.main.duckdb_tables
SELECT * FROM memory.main.secrets
SELECT getenv('HOME')
SELECT getvariable('x'), current_setting('memory_limit')
SELECT current_user, current_database(), current_schema(), current_catalog, version()
SELECT current_query(), txid_current()
SELECT nextval('s'), currval('s')
SELECT write_log('x')
SELECT error('x')
SELECT icu_sort_key('a', 'b')
SELECT in_search_path('a', 'b')
SELECT stats(name) FROM customers
SELECT pg_get_viewdef(1), has_table_privilege('a', 'b')
SELECT json_serialize_sql('SELECT 1'), json_execute_serialized_sql('x')
SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT token FROM secrets'))
SELECT * FROM sniff_csv('x'), repeat_row(1, num_rows := 3), test_all_types(), seq_scan('secrets')
SELECT * FROM summary((FROM secrets))
SELECT list_transform([1], lambda x: (SELECT max(token) FROM secrets))
SELECT [s.token FOR s IN (SELECT list(secrets) FROM secrets)]
SELECT [x FOR x IN (SELECT list(ssn) FROM customers)]
SELECT list_filter((SELECT list(token) FROM secrets), lambda t: true)
SELECT * FROM customers c POSITIONAL JOIN secrets s
SELECT * FROM customers ASOF JOIN secrets USING (id)
SELECT * FROM orders SEMI JOIN secrets ON orders.id = secrets.id
SELECT * FROM orders ANTI JOIN employees ON orders.id = employees.salary
SELECT name FROM customers QUALIFY row_number() OVER (ORDER BY ssn) = 1
SELECT arg_max(name, ssn), max_by(name, ssn) FROM customers
SELECT arg_max(name, salary) FROM employees
SELECT histogram(salary), approx_quantile(salary, 0.5) FROM employees
SELECT string_agg(name, ',' ORDER BY ssn) FROM customers
SELECT first(name ORDER BY salary DESC) FROM employees
SELECT DISTINCT ON (ssn) name FROM customers
SELECT name FROM customers ORDER BY ALL, ssn
SELECT count(*) FROM customers GROUP BY ALL HAVING max(ssn) > 'a'
SELECT name FROM customers USING SAMPLE 10 ROWS WHERE ssn > 'a'
SELECT ssn FROM customers TABLESAMPLE 100%
SELECT name FROM customers LIMIT (SELECT count(*) FROM secrets)
SELECT name FROM customers LIMIT (SELECT count(*) FROM secrets) %
SELECT * FROM customers AT (VERSION => 1)
SELECT x.lower() FROM (SELECT ssn AS x FROM customers)
SELECT c.ssn.lower() FROM customers c
SELECT customers.name.upper(), customers.ssn.upper() FROM customers
SELECT name[1:(SELECT max(salary)::INT FROM employees)] FROM customers
SELECT s: ssn FROM customers
SELECT id AS ssn, ssn AS x FROM customers
WITH RECURSIVE secrets AS (SELECT token FROM secrets UNION ALL SELECT token FROM secrets WHERE 1 = 0) SELECT * FROM secrets
WITH RECURSIVE r AS (SELECT ssn FROM customers UNION SELECT ssn FROM r) SELECT * FROM r
WITH RECURSIVE r(a) USING KEY (a) AS (SELECT token FROM secrets UNION SELECT a FROM r) SELECT * FROM r
WITH x AS MATERIALIZED (FROM secrets) FROM x
SELECT 1 UNION BY NAME SELECT token FROM secrets
SELECT * FROM (VALUES ((SELECT token FROM secrets LIMIT 1))) v
SELECT ARRAY(SELECT token FROM secrets)
SELECT EXISTS (FROM secrets)
SELECT 1 IN (SELECT id FROM secrets)
SELECT (FROM secrets SELECT max(token))
COPY secrets TO '/tmp/x.csv'
COPY (SELECT * FROM secrets) TO '/dev/stdout'
EXPORT DATABASE '/tmp/x'
ATTACH '/tmp/x.db'
INSTALL httpfs
LOAD httpfs
SET enable_external_access = true
RESET memory_limit
PRAGMA database_list
CALL duckdb_tables()
CHECKPOINT
CREATE MACRO f() AS (SELECT token FROM secrets)
CREATE OR REPLACE VIEW v AS SELECT * FROM secrets
PREPARE p AS SELECT * FROM secrets
EXECUTE p
SET VARIABLE x = (SELECT max(token) FROM secrets)
COMMENT ON TABLE orders IS 'x'
USE memory
EXPLAIN ANALYZE SELECT * FROM secrets
""".strip().splitlines()

ATTACKS = {"sqlite": SQLITE, "postgres": POSTGRES, "mysql": MYSQL, "duckdb": DUCKDB}


def attacks(dialect: str) -> list[str]:
    """Those of every dialect and those of one."""
    return EVERYWHERE + ATTACKS[dialect]
