"""Schema migrations, run by :mod:`openstreamer.store.migrate` when a store is opened."""
