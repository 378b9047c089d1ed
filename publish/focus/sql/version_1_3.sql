-- The columns of FOCUS 1.3.
-- noqa: disable=CP02
alter table charges drop column ProviderName;
alter table charges drop column PublisherName;
