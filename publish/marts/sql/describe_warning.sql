-- The table says what it is, for tools that show comments.
comment on table published.marts.not_proven is
'The figures in this copy are not proven. One row: why not. A copy of proven marts has no such table.'
