"""`publish excel`: one billing period as a workbook whose totals are formulas over its tables."""
