"""What an event is: its columns, its types, and when a row is valid. Imports nothing of ours."""
