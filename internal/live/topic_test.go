package live

import "testing"

func TestParseTopic(t *testing.T) {
	const id = "0193a0f0-1111-7abc-8def-0123456789ab"
	tests := []struct {
		name string
		want Topic
		ok   bool
	}{
		{"group:" + id, Topic{Group, id}, true},
		{"task:" + id, Topic{Task, id}, true},
		{"device:" + id, Topic{Device, id}, true},
		{"me", Topic{Me, "user"}, true},
		{"admin", Topic{Kind: Admin}, true},
		{"me:" + id, Topic{}, false},
		{"group", Topic{}, false},
		{"group:", Topic{}, false},
		{`group:","x":"`, Topic{}, false},
		{"group:{" + id + "}", Topic{}, false},
		{"worker:" + id, Topic{}, false},
		{"", Topic{}, false},
	}
	for _, tt := range tests {
		got, ok := ParseTopic(tt.name, "user")
		if ok != tt.ok || ok && got != tt.want {
			t.Errorf("%q: %v %v, want %v %v", tt.name, got, ok, tt.want, tt.ok)
		}
		if ok && got.String() != tt.name {
			t.Errorf("%q is written %q", tt.name, got.String())
		}
	}
}
