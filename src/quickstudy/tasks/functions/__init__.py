"""Tasks drawn on the fly: functions, tables, sequences."""
