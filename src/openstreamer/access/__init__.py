"""Who may: users, roles, the loopback rule, limits and URL redaction."""
