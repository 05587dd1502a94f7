package mongo

type queueCounts struct{}
type sweeps struct{}
