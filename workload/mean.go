package workload

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

const maxNumbers = 1_000_000

// mean averages numbers, exactly.
func mean() Kind {
	return Kind{
		Name:  "mean",
		Run:   runMean,
		Split: splitMean,
		Reduce: func(json.RawMessage) (Reducer, error) {
			return &meanReducer{}, nil
		},
	}
}

// meanPart is a part's output: floats whose exact sum is that of its numbers.
type meanPart struct {
	Partials []float64 `json:"partials"`
	Count    int64     `json:"count"`
	Min      float64   `json:"min"`
	Max      float64   `json:"max"`
}

type meanOutput struct {
	Mean  float64 `json:"mean"`
	Count int64   `json:"count"`
	Min   float64 `json:"min"`
	Max   float64 `json:"max"`
}

func runMean(ctx context.Context, input json.RawMessage, _ Job) (json.RawMessage, error) {
	numbers, part, err := parseMean(input)
	if err != nil {
		return nil, err
	}
	var sum exactSum
	for i, x := range numbers {
		if i%10_000 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		sum.add(x)
	}
	// Adding zero turns -0 into 0: which of the two is found first is no result.
	count, least, most := int64(len(numbers)), slices.Min(numbers)+0, slices.Max(numbers)+0
	if part {
		return json.Marshal(meanPart{sum.partials(), count, least, most})
	}
	return json.Marshal(meanOutput{sum.dividedBy(count), count, least, most})
}

// splitMean shares the numbers out in order; a part says so, because its output
// is not that of the same numbers alone.
func splitMean(input json.RawMessage, n int) ([]json.RawMessage, error) {
	numbers, part, err := parseMean(input)
	if err != nil {
		return nil, err
	}
	if part {
		return nil, badInput("part", "a part cannot be split again")
	}
	var parts []json.RawMessage
	for _, share := range shares(uint64(len(numbers)), min(n, len(numbers))) {
		data, err := json.Marshal(struct {
			Numbers []float64 `json:"numbers"`
			Part    bool      `json:"part"`
		}{numbers[:share], true})
		if err != nil {
			return nil, err
		}
		parts = append(parts, data)
		numbers = numbers[share:]
	}
	return parts, nil
}

func parseMean(input json.RawMessage) (numbers []float64, part bool, err error) {
	in, err := fields(input, "numbers", "csv", "column", "part")
	if err != nil {
		return nil, false, err
	}
	switch {
	case in.has("numbers") && (in.has("csv") || in.has("column")):
		return nil, false, badInput("numbers", "give either numbers, or csv and column")
	case in.has("numbers"):
		numbers, err = parseNumbers(in["numbers"])
	case in.has("csv"):
		numbers, err = parseColumn(in)
	default:
		err = badInput("numbers", "missing; give numbers, or csv and column")
	}
	if err != nil {
		return nil, false, err
	}
	part, err = in.boolean("part", false)
	return numbers, part, err
}

// parseNumbers reads an array of numbers from valid JSON. Every element up to
// the first that is no number is free of commas, so cutting at commas finds
// exactly that one; encoding/json would be slower and take null for 0.
func parseNumbers(array json.RawMessage) ([]float64, error) {
	if array[0] != '[' {
		return nil, badInput("numbers", "must be an array of numbers")
	}
	body := bytes.TrimSpace(array[1 : len(array)-1])
	if len(body) == 0 {
		return nil, badInput("numbers", "must hold at least one number")
	}
	count := bytes.Count(body, []byte{','}) + 1
	if count > maxNumbers {
		return nil, badInput("numbers", "at most %d numbers", maxNumbers)
	}
	numbers := make([]float64, 0, count)
	for cell := range bytes.SplitSeq(body, []byte{','}) {
		x, err := strconv.ParseFloat(string(bytes.TrimSpace(cell)), 64)
		if err != nil {
			return nil, badInput(fmt.Sprintf("numbers[%d]", len(numbers)), "must be a finite number")
		}
		numbers = append(numbers, x)
	}
	return numbers, nil
}

// parseColumn reads the named column of a CSV text (RFC 4180, header row first,
// rows of equal length, empty lines ignored).
func parseColumn(in object) ([]float64, error) {
	text, err := in.text("csv")
	if err != nil {
		return nil, err
	}
	column, err := in.text("column")
	if err != nil {
		return nil, err
	}
	rows := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "\ufeff")))
	rows.ReuseRecord = true
	index := -1
	var numbers []float64
	for row := 1; ; row++ {
		cells, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, badInput("csv", "row %d: %v", row, err)
		}
		if row == 1 {
			if index = slices.Index(cells, column); index < 0 {
				return nil, badInput("column", "the header row has no column %q", column)
			}
			if slices.Contains(cells[index+1:], column) {
				return nil, badInput("column", "the header row has column %q more than once", column)
			}
			continue
		}
		x, ok := parseCell(cells[index])
		if !ok {
			return nil, badInput("csv", "row %d, column %q: %.40q is not a finite number", row, column, cells[index])
		}
		if len(numbers) == maxNumbers {
			return nil, badInput("csv", "at most %d rows", maxNumbers)
		}
		numbers = append(numbers, x)
	}
	if len(numbers) == 0 {
		return nil, badInput("csv", "must have a header row and at least one row below it")
	}
	return numbers, nil
}

// parseCell reads a decimal number with blanks around it. Go and Python each
// read more than that as a float (inf, 0x1p3, 1_000), hence the alphabet.
func parseCell(cell string) (float64, bool) {
	cell = strings.Trim(cell, " \t")
	if strings.IndexFunc(cell, func(r rune) bool { return !strings.ContainsRune("0123456789+-.eE", r) }) >= 0 {
		return 0, false
	}
	x, err := strconv.ParseFloat(cell, 64)
	return x, err == nil
}

// meanReducer adds up the parts; parts that failed for good are left out, which
// shows in count.
type meanReducer struct {
	sum         exactSum
	count       int64
	least, most float64
}

func (r *meanReducer) Add(output json.RawMessage) error {
	if isNull(output) {
		return nil
	}
	var part meanPart
	if err := json.Unmarshal(output, &part); err != nil || part.Count < 1 {
		return badOutput("mean: a part's output must hold partials, count, min and max")
	}
	for _, x := range part.Partials {
		r.sum.add(x)
	}
	if r.count == 0 {
		r.least, r.most = part.Min, part.Max
	}
	r.count += part.Count
	r.least, r.most = math.Min(r.least, part.Min), math.Max(r.most, part.Max)
	return nil
}

func (r *meanReducer) Result() (json.RawMessage, error) {
	if r.count == 0 {
		return nil, badOutput("mean: no part succeeded")
	}
	return json.Marshal(meanOutput{r.sum.dividedBy(r.count), r.count, r.least, r.most})
}
