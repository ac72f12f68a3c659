"""A page about one study: gathered once, drawn as sections, put into one HTML file.

gather.py reads the study by the words and eyes of the other views; timeline.py says what each
worker did when; the sections turn what is known into text and charts; page.py writes the file.
"""
