package auth

// DummyHash is what the password of an unknown user is compared with.
func (s *Service) DummyHash() string { return s.hasher.dummy }
