-- Whether a database will do.

-- name: facts
SELECT current_setting('server_version_num')::int4 AS version_number,
       current_setting('server_version') AS version,
       pg_encoding_to_char(d.encoding)::text AS encoding,
       current_setting('fsync') = 'on' AS has_fsync,
       pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS is_read_only,
       coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_create,
       has_database_privilege(d.oid, 'TEMPORARY') AS may_create_temporary,
       has_function_privilege('pg_advisory_lock(int8)', 'EXECUTE')
         AND has_function_privilege('pg_try_advisory_xact_lock(int8)', 'EXECUTE') AS may_lock,
       current_user::text AS role,
       d.datname::text AS database
FROM pg_database AS d
WHERE d.datname = current_database()

-- name: probe
SELECT pg_notify($1, '')
