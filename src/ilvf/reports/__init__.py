"""Pictures of runs, and reports of the audit, of influence, of traffic and of the theory."""
