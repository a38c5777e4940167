-- Whose usage was told under a customer, also when the account has another customer since.
-- Source: design §6 (I6).
CREATE INDEX meter_reports_customer ON meter_reports (customer_id, account_id);
