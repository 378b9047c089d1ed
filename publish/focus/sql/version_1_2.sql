-- The columns of FOCUS 1.2.
-- noqa: disable=CP02
alter table charges drop column ServiceProviderName;
alter table charges drop column HostProviderName;
