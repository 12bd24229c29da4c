"""The domain: what threads, messages and receipts mean beyond their shape.

Rules are attached to profiles, so that both faces meet them; see `RULES` and `OPERATIONS = (MarkRead(),)
