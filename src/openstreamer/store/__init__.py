"""The durable configuration: SQLAlchemy store, migrations, export and import."""
