"""The report for people: gather what all stages found, then render it.

content.py   reports of all stages → ReportContent
words.py     names and numbers as people read them
charts.py    numbers → inline SVG that follows the page's colours
page.py      ReportContent → report.html, one self-contained file
card.py      ReportContent → model card in the Hugging Face form
"""
