"""Real peers that nobody here wrote, one per source: what they send must come out as it went in."""
