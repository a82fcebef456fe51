"""The one door for people's tables, whatever wrote them: every cell is text first, by the name of its column.

A blank among ids of 18 digits makes floats of them where a reader guesses types, and the last digits are gone. So what
a cell means is said by whoever asked for the table; this room finds out how it was written.
"""
