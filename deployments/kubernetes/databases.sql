-- Run once, when PostgreSQL makes its data; the database "prefect" is there by then.
CREATE DATABASE mlflow;
