"""What verl and vLLM import in their own processes. Nothing else imports these modules."""
