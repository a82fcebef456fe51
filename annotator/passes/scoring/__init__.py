"""From records to what is written down: one batch completed, scored, decided and recorded."""
