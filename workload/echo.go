package workload

import (
	"context"
	"encoding/json"
)

// echo answers with its input.
func echo() Kind {
	return Kind{
		Name: "echo",
		Run: func(_ context.Context, input json.RawMessage, _ Job) (json.RawMessage, error) {
			return input, nil
		},
		Reduce: reduceByCollect,
	}
}

// reduceByCollect is the reduce of kinds whose outputs are only gathered.
func reduceByCollect(json.RawMessage) (Reducer, error) { return &collect{}, nil }
