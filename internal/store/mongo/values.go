package mongo

import (
	"fmt"
	"reflect"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Times are kept as Unix milliseconds, 0 for "not set", which is before every
// other time; durations as milliseconds. A field is never left out for being
// zero, so that a filter finds it.

var (
	timeType     = reflect.TypeFor[time.Time]()
	durationType = reflect.TypeFor[time.Duration]()
)

func registry() *bson.Registry {
	r := bson.NewRegistry()
	r.RegisterTypeEncoder(timeType, bson.ValueEncoderFunc(func(_ bson.EncodeContext, w bson.ValueWriter, v reflect.Value) error {
		return w.WriteInt64(ms(v.Interface().(time.Time)))
	}))
	r.RegisterTypeDecoder(timeType, bson.ValueDecoderFunc(func(_ bson.DecodeContext, rd bson.ValueReader, v reflect.Value) error {
		n, err := integer(rd)
		v.Set(reflect.ValueOf(at(n)))
		return err
	}))
	r.RegisterTypeEncoder(durationType, bson.ValueEncoderFunc(func(_ bson.EncodeContext, w bson.ValueWriter, v reflect.Value) error {
		return w.WriteInt64(time.Duration(v.Int()).Milliseconds())
	}))
	r.RegisterTypeDecoder(durationType, bson.ValueDecoderFunc(func(_ bson.DecodeContext, rd bson.ValueReader, v reflect.Value) error {
		n, err := integer(rd)
		v.SetInt(n * int64(time.Millisecond))
		return err
	}))
	return r
}

func integer(r bson.ValueReader) (int64, error) {
	switch r.Type() {
	case bson.TypeInt64:
		return r.ReadInt64()
	case bson.TypeInt32:
		n, err := r.ReadInt32()
		return int64(n), err
	case bson.TypeNull:
		return 0, r.ReadNull()
	default:
		return 0, fmt.Errorf("a time was stored as %s", r.Type())
	}
}

// ms returns t as stored.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// at is the inverse of ms.
func at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// lastRune ends the range of what begins with a prefix.
const lastRune = "\U0010FFFF"

// begins is the range of a field's values that begin with a prefix.
func begins(field, prefix string) bson.E {
	return is(field, D{is("$gte", prefix), is("$lt", prefix+lastRune)})
}

// list is never nil: $in takes no null.
func list[T any](values []T) []T {
	if values == nil {
		return []T{}
	}
	return values
}
