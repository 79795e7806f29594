"""REST, metrics and pages: reads snapshots, sends commands, carries no media."""
