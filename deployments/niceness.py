"""The order in which processes get the cores of a machine that is busy.

Answers to requests come first. Songs are decoded at their arrival with a niceness of 5
(`serve_app.audio.forkserver`), separated with 10, and analysed, which mostly ends long
before, with 15. Of a core that all want, answers get nine tenths of it. The library's
tasks, the archive's downloads and images are as urgent as separation.
"""

LIBRARY = ARCHIVE = IMAGES = 10
SEPARATION = 10
ANALYSIS = 15
