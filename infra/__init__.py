"""What a production Postgres needs beside dbt: roles, row security, audit, by migrations; logins."""
