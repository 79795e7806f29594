"""What turns several inputs into one continuous stream: policy, selector, timeline."""
