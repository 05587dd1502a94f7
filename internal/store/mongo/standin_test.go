package mongo_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/firmlight/firmlight/internal/mongotest"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestStandInKeepsWhatItAnswered: the stand-in that is killed while documents are
// written has each that it answered for, and takes more; stopped, it only waits.
func TestStandInKeepsWhatItAnswered(t *testing.T) {
	s, err := mongotest.Start()
	must(t, err)
	defer func() { must(t, s.Stop()) }()
	if !s.StandIn {
		t.Log("a real MongoDB is not ours to kill")
		return
	}
	client, err := mongo.Connect(options.Client().ApplyURI(s.Database()))
	must(t, err)
	defer func() { must(t, client.Disconnect(context.WithoutCancel(t.Context()))) }()
	docs := client.Database("kill").Collection("docs")
	var mu sync.Mutex // guards answered
	answered := 0
	var writers sync.WaitGroup
	some := make(chan struct{})
	for writer := range 4 {
		writers.Go(func() {
			for n := range 1_000_000 {
				doc := bson.D{{Key: "_id", Value: writer<<32 | n}, {Key: "n", Value: 0}}
				if _, err := docs.InsertOne(t.Context(), doc); err != nil {
					return
				}
				if _, err := docs.UpdateByID(t.Context(), doc[0].Value, bson.M{"$set": bson.M{"n": 1}}); err != nil {
					return
				}
				mu.Lock()
				if answered++; answered == 100 {
					close(some)
				}
				mu.Unlock()
			}
		})
	}
	<-some
	s.Kill()
	writers.Wait()
	must(t, s.Restart())
	found, err := docs.CountDocuments(t.Context(), bson.M{"n": 1})
	must(t, err)
	if most := answered + 4; found < int64(answered) || found > int64(most) {
		t.Errorf("%d documents after the kill, %d to %d are expected", found, answered, most)
	}

	must(t, s.Freeze())
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := docs.InsertOne(ctx, bson.M{"_id": "while stopped"}); err == nil {
		t.Error("a stopped server answers")
	}
	must(t, s.Thaw())
	_, err = docs.InsertOne(t.Context(), bson.M{"_id": "after"})
	must(t, err)
}
