"""MIDDLE: one ring of frames per rendition, with one writer and many readers."""
