"""The stages of Freshet share this language: settings and contract."""
