"""What must survive: banks, entries and their hashes, the change log, screenings.

SQLAlchemy stays in here; what goes in and comes out are the records of `model`.
"""
