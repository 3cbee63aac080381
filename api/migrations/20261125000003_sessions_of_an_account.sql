-- Deleting an account takes all its sessions along, ended ones included, and looks for them by this.
CREATE INDEX sessions_account_id_idx ON identity.sessions (account_id);
DROP INDEX identity.sessions_account_idx;
