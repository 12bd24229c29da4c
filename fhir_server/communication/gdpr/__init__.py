"""What a person may ask for under the GDPR: the request, the policy, and what erasure removes."""
