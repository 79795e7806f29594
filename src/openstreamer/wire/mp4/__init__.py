"""ISO base media files, CMAF profile, as far as live streaming writes them (ISO/IEC 14496-12, 23000-19)."""
