"""Queries that people and models write, by dialect; each runs on the shop of `shared/data/sql`."""

from __future__ import annotations

SQLITE = r"""
SELECT strftime('%Y-%m', order_date) AS m, count(*) FROM orders GROUP BY 1
SELECT group_concat(name, ', ') FROM customers
SELECT group_concat(DISTINCT status) FROM orders
SELECT name FROM customers WHERE name NOT GLOB 'X*' AND country IN ('DE','FR') AND id NOT IN (1,2)
SELECT CAST(total AS INTEGER) AS i, CAST(total AS TEXT) AS t, CAST(id AS REAL)/2 AS r, total || '' AS s FROM orders
SELECT json_extract(attrs,'$.color') AS c, attrs->>'$.dim.w' AS w, json_type(attrs,'$.tags') FROM products
SELECT value FROM json_each('[1,2,3]')
SELECT p.name, t.value FROM products p JOIN json_each(p.attrs, '$.tags') t ON 1
SELECT key, value, type, atom, id, parent, fullkey, path FROM json_tree('{"a":1}')
SELECT json_patch('{}','{"a":1}') AS a, json_set('{}','$.a',1), json_insert('{}','$.a',1), json_replace('{}','$.a',1), json_remove('{}','$.a'), json_quote('a'), json_array(1,2), json_group_object('a',1)
SELECT id FROM orders ORDER BY id LIMIT 5 OFFSET 2
SELECT id FROM orders LIMIT 2, 3
SELECT id FROM orders LIMIT -1
SELECT id FROM orders LIMIT 10 - 5
SELECT max(total), min(total), sum(total), avg(total), count(*), total(total) FROM orders
SELECT status, max(total), id FROM orders GROUP BY status
SELECT (SELECT count(*) FROM orders), EXISTS(SELECT 1 FROM orders)
SELECT CASE WHEN total > 100 THEN 'a' ELSE 'b' END AS c FROM orders ORDER BY c COLLATE NOCASE
SELECT date(order_date,'start of month','+1 month','-1 day') AS e, strftime('%s','now') > 0, julianday(order_date), date('now','localtime') > '2000' FROM orders
SELECT round(total,1), abs(-1), coalesce(NULL,2), nullif(1,1), ifnull(NULL,1), iif(1,2,3), instr('abc','b'), substr('abc',2), substr('abc',-1), trim(' a '), upper('a'), lower('A'), replace('a','a','b'), length('a'), typeof(1), hex('a'), unicode('a'), char(65,66), printf('%d',1), format('%d',1), random() IS NOT NULL, sign(-1), ceil(1.2), floor(1.2), mod(7,3), pow(2,2), sqrt(4), ln(2), exp(1), log(10), log2(8), pi(), sin(0), max(1,2), min(1,2), likely(1), unlikely(0), zeroblob(2), quote('a'), soundex('a') FROM orders LIMIT 1
WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM c WHERE n < 5) SELECT n FROM c
WITH RECURSIVE h(id, lvl) AS (SELECT id, 0 FROM employees WHERE manager_id IS NULL UNION ALL SELECT e.id, h.lvl+1 FROM employees e JOIN h ON e.manager_id = h.id ORDER BY 2 LIMIT 10) SELECT * FROM h
SELECT id, row_number() OVER (PARTITION BY status ORDER BY total DESC) AS r, sum(total) OVER (ORDER BY id RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM orders
SELECT id, count(*) FILTER (WHERE total > 1) OVER () FROM orders
SELECT * FROM orders o LEFT JOIN customers c ON c.id = o.customer_id LIMIT 2
SELECT o.id FROM orders o INNER JOIN order_items i ON i.order_id = o.id CROSS JOIN products p WHERE p.id = i.product_id
SELECT id FROM orders UNION SELECT id FROM products UNION ALL SELECT id FROM events EXCEPT SELECT 3 ORDER BY 1 DESC LIMIT 4
SELECT DISTINCT status, count(*) OVER () FROM orders
SELECT 1 = 1, 1 == 1, 1 <> 2, 1 != 2, 1 IS 1, NULL IS NOT 1, 1 IS NOT NULL, NOT 0, ~1, -1, +1, 5 % 2, 5 / 2, 5 & 1, 5 | 2, 1 << 2, 8 >> 1, 'a' || 'b', 1 BETWEEN 0 AND 2, 1 ISNULL, 1 NOTNULL, x'41', 1e3, .5, 0x1F, TRUE, FALSE
SELECT "orders"."id", [orders].[status], `orders`.`total` FROM orders
SELECT id AS "Order ID", total 'Total Amount' FROM orders
SELECT rowid, _rowid_, oid FROM orders LIMIT 1
SELECT name FROM customers WHERE name = "Cust 1" OR country = "DE"
SELECT * FROM (SELECT status, sum(total) AS s FROM orders GROUP BY status) WHERE s > 10
SELECT * FROM orders WHERE (customer_id, status) IN (SELECT customer_id, status FROM orders LIMIT 1)
SELECT * FROM orders WHERE (id, customer_id) = (1, 2)
SELECT name FROM products ORDER BY price DESC NULLS LAST, name ASC
SELECT status, count(*) c FROM orders GROUP BY status HAVING c > 1 ORDER BY c DESC
SELECT main.orders.total FROM main.orders
SELECT o.id FROM orders AS o NOT INDEXED LIMIT 1
WITH a(x) AS (SELECT 1), b AS MATERIALIZED (SELECT x FROM a), c AS NOT MATERIALIZED (SELECT 1 AS y) SELECT * FROM a, b, c
SELECT id FROM orders WHERE total > (SELECT avg(total) FROM orders o2 WHERE o2.customer_id = orders.customer_id)
SELECT current_date > '2000', current_timestamp IS NOT NULL, current_time IS NOT NULL
SELECT strftime('%Y', ts) y, strftime('%w', ts) FROM events WHERE date(ts) BETWEEN '2025-03-01' AND '2025-03-31'
SELECT substring(name, 1, 3) FROM customers
SELECT country, count(*) * 100.0 / (SELECT count(*) FROM customers) AS pct FROM customers GROUP BY country
SELECT a.name, b.name FROM employees a JOIN employees b ON a.manager_id = b.id WHERE a.id != b.id
VALUES (1), (2), (3)
SELECT column1 FROM (VALUES (1),(2))
SELECT * FROM (SELECT 1 AS a UNION ALL SELECT 2) AS t WHERE a > 1
SELECT nth_value(total, 2) OVER (ORDER BY id), last_value(total) OVER (ORDER BY id), cume_dist() OVER (ORDER BY id), ntile(3) OVER (ORDER BY id) FROM orders
SELECT id, lag(total, 1, 0) OVER win FROM orders WINDOW win AS (ORDER BY id)
SELECT name, email FROM customers WHERE email IS NOT NULL ORDER BY name
SELECT count(*), count(email), count(DISTINCT email) FROM customers
SELECT id FROM orders WHERE total > 1e2 AND order_date > date('2025-01-01') AND status IN (SELECT status FROM orders WHERE id < 5)
SELECT * FROM orders NATURAL LEFT JOIN order_items LIMIT 1
SELECT id FROM orders o WHERE o."delete" IS NOT NULL AND o.[update] LIKE 'u%'
SELECT DISTINCT substr(order_date, 1, 4) FROM orders
SELECT name FROM customers GROUP BY country
SELECT ALL name FROM customers
SELECT status, json_group_array(json_object('id', id)) FROM orders GROUP BY status
SELECT upper(substr(status,1,1)) || substr(status,2) FROM orders
SELECT unixepoch('now') > 0
SELECT name FROM customers WHERE country IS 'DE' OR country IS NOT NULL AND id > 3 OR NOT (id < 2)
SELECT customers.* FROM customers LIMIT 1
SELECT date() > '2000', datetime() IS NOT NULL
SELECT 'It''s' AS x -- trailing comment
SELECT 1;
""".strip().splitlines()

POSTGRES = r"""
SELECT to_char(order_date,'YYYY-MM') AS m, count(*) FROM orders GROUP BY 1
SELECT extract(dow FROM order_date) AS d, extract(epoch FROM now()-order_date) > 0 AS e FROM orders
SELECT array_agg(DISTINCT status ORDER BY status) FROM orders
SELECT attrs->>'color' AS c, attrs->'dim'->>'w' AS w FROM products WHERE attrs @> '{"color":"red"}'
SELECT attrs #>> '{dim,w}' AS w, attrs ? 'color' AS h, attrs ?| array['a','color'] AS a, attrs ?& array['color'] AS b FROM products
SELECT e.id, x.v FROM events e, jsonb_array_elements(e.payload->'items') AS x(v)
SELECT c.name, o.total FROM customers c CROSS JOIN LATERAL (SELECT total FROM orders o WHERE o.customer_id=c.id ORDER BY total DESC LIMIT 1) o
SELECT count(*) FILTER (WHERE status='paid') AS p FROM orders
SELECT status, customer_id, sum(total) FROM orders GROUP BY GROUPING SETS ((status),(customer_id),())
SELECT status, customer_id, sum(total), grouping(status) FROM orders GROUP BY CUBE (status, customer_id)
SELECT name FROM customers WHERE name ILIKE 'cust 1%' AND name ~ '^C' AND name ~* '^c' AND name !~ 'z' AND name !~* 'Z'
SELECT name FROM customers WHERE name SIMILAR TO '(Cust|X)%'
SELECT regexp_replace(name,'\d+','X','g') AS r, regexp_matches(name,'(\d+)') AS m FROM customers
SELECT t.a, t.n FROM unnest(ARRAY['a','b']) WITH ORDINALITY AS t(a,n)
SELECT id FROM orders TABLESAMPLE BERNOULLI (100)
SELECT ROW(1,2) = ROW(1,2) AS r, (1,2) < (1,3) AS s
SELECT id FROM orders WHERE (customer_id, status) IN (SELECT customer_id, status FROM orders WHERE total > 100)
SELECT id FROM orders WHERE status IS DISTINCT FROM 'paid' AND status IS NOT DISTINCT FROM status
SELECT (DATE '2025-01-01', DATE '2025-02-01') OVERLAPS (DATE '2025-01-15', DATE '2025-03-01') AS o
SELECT ts AT TIME ZONE 'UTC' AS u, ts::date AS d FROM events
SELECT format('%s-%s', id, status) AS f FROM orders
SELECT jsonb_path_query(payload,'$.items[*]') AS q FROM events
SELECT jsonb_set(attrs,'{color}','"x"') AS j, jsonb_pretty(attrs) AS p, attrs - 'color' AS d, attrs || '{"a":1}'::jsonb AS m FROM products
SELECT id FROM orders ORDER BY id LIMIT ALL OFFSET 50
SELECT a.id FROM orders a NATURAL JOIN order_items b
TABLE orders
VALUES (1,'a'),(2,'b')
SELECT id FROM orders WHERE total BETWEEN SYMMETRIC 200 AND 100
SELECT id FROM orders WHERE (total > 100) IS TRUE AND (total > 100) IS NOT FALSE AND (total>1) IS NOT UNKNOWN
SELECT name FROM customers ORDER BY name COLLATE "C" DESC NULLS FIRST
SELECT CAST(total AS numeric(10,1)) AS n, total::text AS t, total::int AS i, '5'::int AS f FROM orders
SELECT position('u' in name) AS p, overlay(name placing 'XX' from 1 for 2) AS o, substring(name from '\d+') AS s, trim(both 'C' from name) AS t, substring(name from 2 for 3) AS u FROM customers
SELECT concat_ws('-', name, country) AS c, regexp_split_to_array('a,b',',') AS r FROM customers
SELECT ARRAY(SELECT id FROM orders ORDER BY id LIMIT 3) AS a
SELECT id FROM orders WHERE total >= ALL (SELECT total FROM orders) OR id = ANY (SELECT customer_id FROM orders)
SELECT (ARRAY[1,2,3])[1:2] AS s, array_position(ARRAY[1,2],2) AS p, ARRAY[1] || ARRAY[2] AS c, 1 = ANY(ARRAY[1,2]) AS y, ARRAY[1,2] @> ARRAY[1] AS k, ARRAY[1] && ARRAY[1,2] AS o, ARRAY[1] <@ ARRAY[1,2] AS z
SELECT make_interval(days => 10) AS i, now() - make_interval(hours => 1) < now() AS b
SELECT corr(total,id) AS c, regr_slope(total,id) AS r, stddev(total) AS s, variance(total) AS v, covar_pop(total,id) FROM orders
SELECT id, cume_dist() OVER (ORDER BY total) AS c, nth_value(total,2) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS n FROM orders
SELECT ALL id FROM orders FETCH NEXT ROW ONLY
WITH RECURSIVE h AS (SELECT id, manager_id, name, 1 AS lvl FROM employees WHERE manager_id IS NULL UNION ALL SELECT e.id, e.manager_id, e.name, h.lvl+1 FROM employees e JOIN h ON e.manager_id=h.id) SELECT * FROM h
SELECT to_tsvector('english', name) @@ to_tsquery('english','prod') AS m FROM products
SELECT int4range(1,5) @> 3 AS r, daterange('2025-01-01','2025-02-01') && daterange('2025-01-15','2025-03-01') AS d
SELECT DATE '2025-01-01' + 5 AS d, TIMESTAMP '2025-01-01 00:00' + INTERVAL '1 day 2 hours' AS t, CURRENT_TIMESTAMP > TIMESTAMP '2020-01-01' AS c, LOCALTIMESTAMP > TIMESTAMP '2020-01-01' AS l
SELECT grouping(status) AS g, status FROM orders GROUP BY ROLLUP(status)
SELECT DISTINCT status FROM orders ORDER BY status
SELECT o.* FROM orders o WHERE EXISTS (SELECT FROM order_items i WHERE i.order_id=o.id)
SELECT id, total, rank() OVER w, row_number() OVER (w ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM orders WINDOW w AS (PARTITION BY status ORDER BY total)
SELECT date_trunc('week', ts) AS w, date_bin('15 minutes', ts, TIMESTAMP '2025-01-01') AS b FROM events
SELECT generate_series(1,3) AS n
SELECT d::date FROM generate_series(DATE '2025-01-01', DATE '2025-01-05', INTERVAL '1 day') AS d
SELECT x.k, x.v FROM products p, jsonb_each_text(p.attrs) AS x(k,v)
SELECT jsonb_object_agg(id, name) AS o, jsonb_object_keys(attrs) FROM products GROUP BY attrs
SELECT json_build_object('a', json_agg(name)) AS j FROM products
SELECT CASE status WHEN 'new' THEN 1 WHEN 'paid' THEN 2 ELSE 3 END AS c FROM orders
SELECT 7 % 3 AS m, 2 ^ 3 AS p, 5 & 3 AS b, 5 | 3 AS o, 5 # 3 AS x, ~5 AS n, 1 << 3 AS l, 8 >> 1 AS r, 5 / 2 AS d, -(-3) AS q
SELECT E'a\nb' AS e, 'it''s' AS q, $$dollar$$ AS d, B'101' AS b, X'1F' AS x
SELECT count(*) AS "Total Orders", sum(total) "Sum" FROM orders AS "My Orders"
SELECT "orders"."id" FROM "orders"
SELECT o.id FROM orders AS o (id, cid) WHERE o.cid = 1
SELECT * FROM (SELECT 1 AS a) AS t CROSS JOIN (SELECT 2 AS b) AS u
SELECT a.id FROM orders a LEFT OUTER JOIN orders b ON a.id = b.id + 1 FULL OUTER JOIN orders c ON c.id = a.id RIGHT JOIN orders d ON d.id = a.id
SELECT name FROM customers WHERE country = 'DE' UNION ALL SELECT name FROM products UNION SELECT name FROM employees ORDER BY 1 LIMIT 5
(SELECT id FROM orders ORDER BY total LIMIT 2) UNION ALL (SELECT id FROM orders ORDER BY total DESC LIMIT 2) ORDER BY 1
SELECT id FROM orders EXCEPT ALL SELECT 1 INTERSECT ALL SELECT 2
SELECT coalesce(sum(total),0) AS s FROM orders WHERE order_date >= CURRENT_DATE - 30
SELECT order_date + 1 AS d, order_date - DATE '2025-01-01' AS n, age(order_date) AS a, justify_days(INTERVAL '40 days') AS j FROM orders
SELECT bool_and(total>0) AS b, every(total>0) AS e, bit_or(id) AS o, any_value(status) AS a FROM orders
SELECT percentile_disc(0.9) WITHIN GROUP (ORDER BY total) AS p, percentile_cont(ARRAY[0.25,0.75]) WITHIN GROUP (ORDER BY total) AS q FROM orders
SELECT rank(100) WITHIN GROUP (ORDER BY total) AS r FROM orders
SELECT string_agg(DISTINCT status, ',') AS s FROM orders
SELECT id FROM orders WHERE status LIKE 'p%' ESCAPE '!' AND status NOT LIKE '%x' AND status NOT IN ('a') AND total NOT BETWEEN 1 AND 2
SELECT id FROM orders WHERE status = ANY ('{paid,new}') ORDER BY id DESC
SELECT md5('x') AS m, sha256('x') AS s, encode(sha256('x'),'hex') AS e, decode('YQ==','base64') AS d, length('x') AS l, ascii('a') AS a, chr(65) AS c, repeat('x',3) AS r, reverse('abc') AS v, lpad('a',3,'0') AS p, translate('abc','a','x') AS t, to_hex(255) AS h, gen_random_uuid() IS NOT NULL AS u
SELECT round(total,1) AS r, ceil(total) AS c, floor(total) AS f, trunc(total) AS t, abs(-1) AS a, sign(-2) AS s, mod(7,3) AS m, power(2,3) AS p, sqrt(4) AS q, exp(1) AS e, ln(2) AS l, log(100) AS g, pi() AS pi, degrees(1) AS d, div(7,2) AS v, greatest(1,2) FROM orders
SELECT to_date('2025-01-01','YYYY-MM-DD') AS d, to_timestamp(0) AS t, to_number('12','99') AS n, to_timestamp('2025-01-01','YYYY-MM-DD') AS u
SELECT cast(id as bigint), id::float8, id::real, id::smallint, (id::text || 'x')::varchar(10) FROM orders
SELECT t.id FROM public.orders AS t WHERE t."update" = 'u1'
WITH a AS NOT MATERIALIZED (SELECT id FROM orders) SELECT * FROM a
WITH a AS (SELECT id FROM orders), b AS (SELECT id FROM a) SELECT a.id FROM a JOIN b USING (id) WHERE a.id IN (WITH c AS (SELECT 1 AS z) SELECT z FROM c)
WITH orders AS (SELECT id, total FROM orders WHERE total > 100) SELECT count(*) FROM orders
SELECT EXTRACT(YEAR FROM order_date)::int AS y, EXTRACT(QUARTER FROM order_date) AS q, EXTRACT(isodow FROM order_date) AS i, date_part('week', order_date) AS w FROM orders
SELECT jsonb_build_array(1,2) AS a, jsonb_typeof(attrs) AS t, jsonb_array_length(attrs->'tags') AS n, attrs['color'] AS s FROM products
SELECT attrs @? '$.color' AS a, attrs @@ '$.dim.w > 1' AS b, attrs->'tags'->0 AS c, attrs->'tags'->>-1 AS d, attrs #> '{dim}' AS e, attrs #- '{dim,w}' AS f FROM products
SELECT id, lag(total) OVER (ORDER BY id) AS l, total - lag(total,1,0) OVER (ORDER BY id) AS d FROM orders
SELECT name, hired_at, age(CURRENT_DATE, hired_at) FROM employees WHERE hired_at > '2012-01-01'::date
SELECT count(DISTINCT (customer_id, status)) FROM orders
SELECT num_nonnulls(1,NULL) AS n, nullif(1,1) AS u, width_bucket(5,0,10,5) AS w, isfinite(now()) AS f
SELECT DISTINCT ON (status) status, id FROM orders ORDER BY status, total DESC
SELECT * FROM json_to_recordset('[{"a":1,"b":"x"}]') AS t(a int, b text)
SELECT * FROM string_to_table('a,b',',') AS s
SELECT * FROM ROWS FROM (generate_series(1,2), generate_series(1,3)) AS t(a,b)
SELECT o FROM orders o LIMIT 1
SELECT (o).total FROM orders o LIMIT 1
SELECT 1 WHERE 1 IN (1,2,3) AND NOT 2 = 3 AND 'a' < 'b' AND true
SELECT customer_id, count(*) FROM orders GROUP BY customer_id HAVING count(*) > 2 ORDER BY count(*) DESC, customer_id
SELECT avg(total) FILTER (WHERE status = 'paid') OVER (PARTITION BY customer_id) FROM orders
SELECT id, sum(total) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING), sum(total) OVER (ORDER BY id GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE TIES) FROM orders
SELECT 'a' || 1 AS c, 'x' LIKE 'X' AS l, NULL IS NULL AS n, 1::bit(4) AS b, '1 day'::interval AS i, interval '1' day AS j, interval '1-2' year to month AS k
SELECT timezone('UTC', ts) AS t, ts AT TIME ZONE 'Europe/Berlin' AT TIME ZONE 'UTC' AS z, date(ts) AS d, ts::time AS tt FROM events
SELECT starts_with(name,'C') AS s, name ^@ 'C' AS t, strpos(name,'u') AS p, left(name,2), right(name,2), initcap(name), char_length(name), octet_length(name), quote_literal(name) FROM customers
SELECT count(*) FROM orders o JOIN customers c ON c.id = o.customer_id AND c.country = 'DE' WHERE c.email IS NOT NULL
SELECT customers.country, count(orders.id) FROM customers LEFT JOIN orders ON customers.id = orders.customer_id GROUP BY customers.country
SELECT public.customers.name FROM public.customers
SELECT * FROM customers LIMIT 3
SELECT c.*, o.id FROM customers c, orders o WHERE c.id = o.customer_id LIMIT 3
SELECT department, avg(EXTRACT(year FROM age(hired_at))) FROM employees GROUP BY department
SELECT table_1.id FROM orders AS table_1
SELECT id AS user, status AS date, total AS value FROM orders LIMIT 1
SELECT id FROM orders WHERE order_date BETWEEN '2025-01-01' AND '2025-06-30' OR order_date::text LIKE '2025-1%'
SELECT unnest(string_to_array('a b',' ')) AS w, regexp_split_to_table('a b',' ') AS r
SELECT id, CASE WHEN total > 100 THEN 'hi' WHEN total > 50 THEN 'mid' END FROM orders ORDER BY CASE WHEN status = 'new' THEN 0 ELSE 1 END, 1
SELECT cardinality(ARRAY[[1,2],[3,4]]), array_to_string(ARRAY['a','b'],','), array_remove(ARRAY[1,2],1), array_cat(ARRAY[1],ARRAY[2]), array_upper(ARRAY[1],1)
SELECT mode() WITHIN GROUP (ORDER BY status), json_agg(status ORDER BY id DESC), array_agg(total) FILTER (WHERE total > 200) FROM orders
SELECT json_object_agg(status, total) FROM orders
SELECT row_number() OVER () AS rn, o.* FROM orders o
SELECT jsonb_path_exists(payload, '$.items[*] ? (@ > 1)') FROM events
SELECT JSON_VALUE(payload, '$.page') FROM events
SELECT JSON_QUERY(payload, '$.items') FROM events
SELECT jt.* FROM events e, JSON_TABLE(e.payload, '$.items[*]' COLUMNS (v int PATH '$')) AS jt
""".strip().splitlines()

MYSQL = r"""
SELECT DATE_FORMAT(order_date, '%Y-%m') m, COUNT(*) FROM orders GROUP BY m ORDER BY m
SELECT YEAR(order_date), QUARTER(order_date), WEEK(order_date), DAYNAME(order_date), DAYOFWEEK(order_date), LAST_DAY(order_date), MONTHNAME(order_date) FROM orders
SELECT TIMESTAMPDIFF(DAY, order_date, NOW()) > 0, TIMESTAMPADD(HOUR, 1, order_date), DATE_SUB(order_date, INTERVAL 7 DAY), order_date + INTERVAL 1 WEEK, DATE(order_date) FROM orders
SELECT GROUP_CONCAT(DISTINCT status ORDER BY status DESC SEPARATOR '|') FROM orders
SELECT COUNT(DISTINCT customer_id, status) FROM orders
SELECT IFNULL(NULL, 1), IF(1, 2, 3), NULLIF(1, 1), COALESCE(NULL, 2), CONCAT('a', 'b'), CONCAT_WS('-', 'a', 'b'), SUBSTRING_INDEX('a.b.c', '.', 2), SUBSTRING('abc', 2), SUBSTRING('abc' FROM 2 FOR 1), LEFT('abc', 1), RIGHT('abc', 1), LPAD('a', 3, '0'), LOCATE('b', 'abc'), INSTR('abc', 'b'), REPLACE('a', 'a', 'b'), REVERSE('ab'), UPPER('a'), LCASE('A'), CHAR_LENGTH('a'), LENGTH('a'), TRIM('  a '), TRIM(LEADING 'x' FROM 'xa'), FORMAT(1234.5, 2), FIELD('b', 'a', 'b'), FIND_IN_SET('b', 'a,b'), ELT(1, 'a'), HEX('a'), ASCII('a'), CHAR(65), SPACE(2), STRCMP('a', 'b'), MD5('a'), SHA1('a'), SHA2('a', 256), CRC32('a'), ROUND(1.25, 1), TRUNCATE(1.25, 1), CEIL(1.2), FLOOR(1.2), MOD(7, 3), 7 MOD 3, 7 DIV 2, POW(2, 3), SQRT(4), SIGN(-1), LOG(2), EXP(1), PI(), RAND() >= 0, GREATEST(1, 2), LEAST(1, 2), BIN(5), CONV('a', 16, 2)
SELECT name FROM customers WHERE name LIKE 'Cust%' AND name NOT REGEXP 'x' AND country IN ('DE', "FR")
SELECT `id`, `update` FROM `orders` WHERE `delete` = 'd3'
SELECT id FROM orders ORDER BY id LIMIT 5 OFFSET 2
SELECT id, ROW_NUMBER() OVER (PARTITION BY status ORDER BY total DESC) rn FROM orders
WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT * FROM n
SELECT c.name, SUM(o.total) t FROM customers c LEFT JOIN orders o ON o.customer_id = c.id GROUP BY c.id, c.name HAVING t > 10 ORDER BY t DESC
SELECT status, SUM(total) FROM orders GROUP BY status WITH ROLLUP
SELECT JSON_EXTRACT(payload, '$.page'), JSON_UNQUOTE(JSON_EXTRACT(payload, '$.page')), JSON_LENGTH(payload), JSON_CONTAINS(payload, '1', '$.items'), JSON_VALUE(payload, '$.page'), JSON_KEYS(payload) FROM events
SELECT JSON_ARRAYAGG(name), JSON_OBJECTAGG(id, name) FROM products
SELECT JSON_OBJECT('a', 1, 'b', 2), JSON_ARRAY(1, 2)
SELECT CAST(total AS SIGNED), CAST(total AS CHAR), CAST(total AS DECIMAL(10,1)), CAST('2025-01-01' AS DATE), CONVERT(total, CHAR), CONVERT('a' USING utf8mb4), CAST(total AS UNSIGNED), CAST(id AS DOUBLE) FROM orders
SELECT id FROM orders WHERE order_date BETWEEN '2025-01-01' AND '2025-02-01' AND total <> 3 AND total != 4 AND NOT (id = 1) AND id = 2 || id = 3 AND id > 1 && id < 10
SELECT 1 + 1, 5 % 2, 5 & 1, 5 | 2, 5 ^ 1, ~1 > 0, 1 << 2, 8 >> 1, !1, 1 XOR 1, 1 IS TRUE, NULL <=> NULL, 'a' LIKE 'A', 'a' = BINARY 'A'
SELECT * FROM (SELECT status, COUNT(*) n FROM orders GROUP BY status) t WHERE n > 1
SELECT id FROM orders WHERE total > ANY (SELECT price FROM products) AND total >= ALL (SELECT qty FROM order_items) AND EXISTS (SELECT 1 FROM events)
SELECT STD(total), STDDEV_SAMP(total), VARIANCE(total), BIT_OR(id), MIN(total), MAX(total), AVG(total), SUM(DISTINCT total) FROM orders
SELECT CASE status WHEN 'new' THEN 1 ELSE 0 END FROM orders
SELECT DATEDIFF('2025-01-02', '2025-01-01'), STR_TO_DATE('2025-01-01', '%Y-%m-%d'), UNIX_TIMESTAMP('2025-01-01') > 0, FROM_UNIXTIME(0) IS NOT NULL, TIME('12:00:00'), HOUR('12:00:00'), MAKEDATE(2025, 1), CURDATE() > '2000-01-01', CURRENT_DATE() > '2000-01-01', CURRENT_TIMESTAMP IS NOT NULL, NOW() IS NOT NULL, EXTRACT(YEAR FROM '2025-01-01'), EXTRACT(YEAR_MONTH FROM '2025-01-01'), DAYOFYEAR('2025-01-01'), TO_DAYS('2025-01-01'), SEC_TO_TIME(60), TIME_TO_SEC('00:01:00'), ADDDATE('2025-01-01', 1), DATE_ADD('2025-01-01', INTERVAL '1:30' HOUR_MINUTE), WEEKDAY('2025-01-01'), YEARWEEK('2025-01-01'), PERIOD_ADD(202501, 1)
SELECT shop.orders.id FROM shop.orders LIMIT 1
SELECT a.id FROM orders a JOIN orders b USING (id) NATURAL JOIN order_items LIMIT 1
SELECT a.id FROM orders a STRAIGHT_JOIN orders b ON a.id = b.id
SELECT id FROM orders UNION SELECT id FROM products ORDER BY id LIMIT 3
SELECT 1 FROM DUAL
SELECT SQL_NO_CACHE id FROM orders LIMIT 1
SELECT STRAIGHT_JOIN o.id FROM orders o
SELECT 'it\'s', "dq", 'a''b', 0x41, X'41', b'1', _utf8mb4'x', N'x', 1e3, .5, TRUE, NULL
SELECT LAG(total) OVER (ORDER BY id), NTILE(3) OVER w, FIRST_VALUE(total) OVER w FROM orders WINDOW w AS (ORDER BY id)
SELECT REGEXP_REPLACE(name, '[0-9]+', 'X'), REGEXP_SUBSTR(name, '[0-9]+'), REGEXP_INSTR(name, '[0-9]') FROM customers
SELECT (SELECT MAX(total) FROM orders) AS m, (1, 2) = (1, 2), ROW(1, 2) = ROW(1, 2)
SELECT * FROM customers LIMIT 2
SELECT id AS `Order Id`, total AS 'Total' FROM orders LIMIT 1
SELECT id FROM orders WHERE id IN (1, 2, 3) OR status IS NULL OR status IS NOT NULL
SELECT name FROM products ORDER BY FIELD(category, 'toys', 'books'), name
SELECT SUM(status = 'paid'), AVG(total > 100), COUNT(IF(total > 1, 1, NULL)) FROM orders
SELECT ORD('a'), QUOTE('a'), SOUNDEX('a'), REPEAT('a', 2), INSERT('abc', 1, 1, 'x'), MID('abc', 2, 1), POSITION('b' IN 'abc'), OCT(8), UNHEX('41'), TO_BASE64('a'), FROM_BASE64('YQ=='), BIT_COUNT(5), DEGREES(1), RADIANS(1), ATAN2(1, 1), COT(1), LOG10(10), LOG2(8), LN(2)
SELECT id FROM orders WHERE DATE(order_date) = '2025-01-01' GROUP BY id, status ORDER BY NULL
SELECT MICROSECOND('12:00:00.000010'), UTC_TIMESTAMP() IS NOT NULL, SYSDATE() IS NOT NULL, LOCALTIME() IS NOT NULL, CONVERT_TZ('2025-01-01', '+00:00', '+01:00'), GET_FORMAT(DATE, 'USA'), TIME_FORMAT('12:00:00', '%H')
SELECT PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY total) OVER (PARTITION BY status) FROM orders
SELECT c.name FROM customers AS c WHERE c.id IN (SELECT o.customer_id FROM orders AS o WHERE o.total > 100) AND c.email IS NOT NULL
SELECT id FROM orders LIMIT 0
SELECT o.id FROM orders o INNER JOIN (customers c, products p) ON c.id = o.customer_id AND p.id = o.id
SELECT id FROM orders INTERSECT SELECT id FROM products EXCEPT SELECT 3
""".strip().splitlines()

DUCKDB = r"""
FROM orders
SELECT * EXCLUDE ("update") REPLACE (total * 2 AS total) FROM orders LIMIT 2
SELECT * RENAME (total AS amount) FROM orders LIMIT 1
SELECT COLUMNS('id|total') FROM orders
SELECT min(COLUMNS(*)) FROM order_items
SELECT status, sum(total) AS s FROM orders GROUP BY ALL ORDER BY ALL
SELECT attrs->>'color' AS c, attrs->'$.dim.w' AS w, json_extract_string(attrs,'$.color') AS j, attrs.color FROM products
SELECT {'a': 1, 'b': 'x'} AS s, [1,2,3] AS l, MAP {'k': 1} AS m, MAP(['a'],[1]) AS n, struct_pack(a := 1) AS p, {'a':1}.a AS f, {'a':1}['a'] AS g, [1,2,3][1] AS h, [1,2,3][1:2] AS i, [1,2,3][-1] AS k
SELECT unnest({'a':1,'b':2})
SELECT unnest([{'a':1}], recursive := true)
SELECT * FROM unnest([1,2]) AS t(x)
SELECT * FROM range(3), generate_series(1,2) g(y)
SELECT x FROM generate_series(DATE '2025-01-01', DATE '2025-01-05', INTERVAL 1 DAY) t(x)
PIVOT orders ON status USING sum(total) GROUP BY customer_id
SELECT * FROM (PIVOT orders ON status USING sum(total) GROUP BY customer_id)
SELECT * FROM orders PIVOT (sum(total) FOR status IN ('new','paid') GROUP BY customer_id)
UNPIVOT order_items ON qty, order_id INTO NAME k VALUE v
SELECT * FROM order_items UNPIVOT (v FOR k IN (qty, order_id))
WITH p AS (PIVOT orders ON status USING sum(total) GROUP BY customer_id) SELECT * FROM p
SELECT id FROM orders QUALIFY row_number() OVER (PARTITION BY customer_id ORDER BY total DESC) = 1
SELECT date_trunc('month', order_date) m, date_part('year', order_date), extract(year FROM order_date), year(order_date), strftime(order_date, '%Y-%m'), date_diff('day', order_date, current_date) > 0, order_date + INTERVAL 1 MONTH, order_date + 3, age(order_date) IS NOT NULL, last_day(order_date), dayname(order_date), epoch(order_date), make_date(2025,1,1), datepart('month', order_date), date_add(order_date, INTERVAL 1 DAY), order_date - INTERVAL '3 days', today() > order_date, now() IS NOT NULL, quarter(order_date) FROM orders
SELECT strptime('2025-01-01', '%Y-%m-%d'), try_strptime('x', '%Y'), to_timestamp(0), '2025-01-01'::DATE, TIMESTAMP '2025-01-01', DATE '2025-01-01', INTERVAL '1' YEAR, to_days(3), time_bucket(INTERVAL '1 day', DATE '2025-01-01')
SELECT median(total), quantile_cont(total, [0.25, 0.75]), quantile_disc(total, 0.5), mode(status), approx_count_distinct(status), arg_max(id, total), max_by(id, total), first(id ORDER BY id), last(id ORDER BY id), any_value(status) IS NOT NULL, list(id ORDER BY id), array_agg(DISTINCT status ORDER BY status), string_agg(status, ',' ORDER BY id), histogram(status), stddev(total), var_pop(total), skewness(total), kurtosis(total), entropy(status), corr(total, id), regr_slope(total, id), bool_or(total > 1), product(id % 2 + 1), count_if(total > 100), count(*) FILTER (total > 1), count(*) FILTER (WHERE total > 1), mad(total), max(id, 3), min(total, 2), sum(DISTINCT id), group_concat(status), quantile(total, 0.5), approx_quantile(total, 0.5) IS NOT NULL, geomean(total), favg(total), fsum(total), bit_xor(id) FROM orders
SELECT regexp_matches(name, '^C'), regexp_replace(name, '\d+', 'X', 'g'), regexp_extract(name, '(\d+)', 1), name SIMILAR TO 'C.*', name ~ 'C.*', name ILIKE 'c%', name GLOB 'C*', contains(name, 'u'), starts_with(name, 'C'), name ^@ 'C', prefix(name,'C'), suffix(name,'1'), split_part(name, ' ', 2), string_split(name, ' '), str_split(name,' '), lower(name), name[1:2], len(name), length(name), strlen(name), reverse(name), lpad(name, 10, '0'), concat(name, 'x'), concat_ws('-', name, 'x'), format('{}', name), printf('%s', name), replace(name,'C','D'), trim(name), instr(name,'u'), position('u' IN name), ascii(name), chr(65), left(name, 2), md5(name), hash(name) IS NOT NULL, levenshtein(name,'x'), jaccard(name,'Cust'), strip_accents(name), translate(name,'C','D'), substring(name, 1, 2), substr(name,2), bar(1,0,10), repeat('a',2), ord('a'), unicode('a'), base64('a'::BLOB), url_encode('a b'), upper(name) FROM customers
SELECT o.id, p.price FROM orders o ASOF JOIN products p ON o.id >= p.id
SELECT o.id FROM orders o POSITIONAL JOIN products p
SELECT o.id FROM orders o SEMI JOIN order_items i ON i.order_id = o.id
SELECT o.id FROM orders o ANTI JOIN order_items i ON i.order_id = o.id
SELECT id FROM orders ORDER BY id LIMIT 5 OFFSET 1
SELECT id AS x, x + 1 AS y FROM orders WHERE y > 3
SELECT x: id, y: total FROM orders LIMIT 1
SELECT 1 AS a UNION BY NAME SELECT 2 AS b
SELECT id FROM orders UNION ALL BY NAME SELECT id, name FROM products
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT * FROM n
WITH a AS MATERIALIZED (SELECT id FROM orders) SELECT count(*) FROM a
WITH orders AS (SELECT id, total FROM orders) SELECT count(*) FROM orders
FROM (SELECT 1 AS a) SELECT a
FROM (FROM orders SELECT id) t SELECT t.id
SELECT o FROM orders o LIMIT 1
SELECT o.* FROM orders o LIMIT 1
SELECT struct_extract(o, 'id') FROM orders o LIMIT 1
SELECT to_json(o) FROM orders o LIMIT 1
SELECT json_object('a', 1), json_array(1), json_group_array(id), to_json([1]), json('{}'), json_keys('{"a":1}'), json_array_length('[1]'), json_type('{}'), json_valid('{}'), '{"a":{"b":1}}'::JSON->'a'->>'b' FROM orders
SELECT e.id, u.unnest FROM events e, unnest(json_extract(payload, '$.items[*]')) u
SELECT id, unnest(from_json(payload->'items', '["INTEGER"]')) FROM events
SELECT payload->>'$.page', payload->>'page' FROM events
SELECT ('x').upper(), name.lower().upper(), [1,2].list_sum() FROM customers LIMIT 1
SELECT main.orders.id FROM main.orders LIMIT 1
SELECT sum(total) OVER (ORDER BY order_date RANGE BETWEEN INTERVAL 7 DAYS PRECEDING AND CURRENT ROW) FROM orders
SELECT id, lag(total) OVER (PARTITION BY status ORDER BY id), first_value(total IGNORE NULLS) OVER (ORDER BY id), row_number() OVER () FROM orders
SELECT status, count(*) FROM orders GROUP BY GROUPING SETS ((status), ())
SELECT status, customer_id, sum(total), grouping_id(status) FROM orders GROUP BY ROLLUP (status, customer_id)
SELECT DISTINCT ON (status) status, id FROM orders ORDER BY status, id
SELECT name FROM customers WHERE id IN (SELECT customer_id FROM orders) AND EXISTS (FROM orders WHERE customer_id = customers.id)
SELECT id FROM orders WHERE id = ANY([1,2]) OR id IN [3,4]
SELECT id FROM orders WHERE id = ANY(SELECT customer_id FROM orders)
SELECT (SELECT max(total) FROM orders), ARRAY(SELECT id FROM orders ORDER BY id LIMIT 2)
SELECT * FROM orders, LATERAL (SELECT orders.total * 2 AS d) LIMIT 1
SELECT * FROM (VALUES (1, 'a')) t(x, y)
VALUES (1, 2)
SELECT c.name, c.email FROM customers c LIMIT 1
SELECT count(*) FROM customers WHERE email IS NOT NULL
SELECT 'a' AS "weird name", "orders"."id" FROM "orders" LIMIT 1
SELECT E'a\nb', $$x$$, 'it''s'
SELECT current_date IS NOT NULL, current_timestamp IS NOT NULL, get_current_timestamp() IS NOT NULL, current_localtimestamp() IS NOT NULL
SELECT kurtosis(total), sem(total), bitstring_agg(id) IS NOT NULL FROM orders
SELECT list_value(1,2), list_pack(1), array_value(1,2), struct_insert({'a':1}, b := 2), map_keys(MAP {'a':1}), map_from_entries([('a',1)]), element_at(MAP {'a':1}, 'a'), cardinality(MAP {'a':1}), union_value(a := 1)
SELECT id FROM orders ORDER BY total DESC NULLS LAST LIMIT 3
TABLE orders
SELECT DISTINCT status FROM orders ORDER BY status COLLATE NOCASE
SELECT count() FROM orders
SELECT sum(total)::DECIMAL(10,1) FROM orders
SELECT replace(strftime(ts, '%H'), '0', ''), hour(ts), date_trunc('hour', ts), ts::DATE, ts AT TIME ZONE 'UTC' FROM events
SELECT try(1/0), error_free FROM (SELECT 1 AS error_free)
""".strip().splitlines()

EVERYDAY = {"sqlite": SQLITE, "postgres": POSTGRES, "mysql": MYSQL, "duckdb": DUCKDB}
"""Dialect → queries."""
