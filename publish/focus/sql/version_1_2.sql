-- The columns of FOCUS 1.2.
alter table charges drop column ServiceProviderName;
alter table charges drop column HostProviderName;
