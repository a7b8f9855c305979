"""Alembic's entry: migrates within the transaction that `CaseStore.open` holds."""

from alembic import context

from graphs.stores.models import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
context.run_migrations()
