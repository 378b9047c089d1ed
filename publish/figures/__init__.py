"""The figures that the report and the workbook show. Each is one SQL file over the marts, so that both show the same.

`columns` says what each column of a figure is called and how it is written.
"""
