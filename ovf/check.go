package ovf

// Check says what is not right in an envelope.
func Check(env *Envelope) []Finding { return env.problems }
