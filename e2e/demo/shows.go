package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// killedWorker is the one that the demo ends with SIGKILL.
const killedWorker = "lab-2"

// showFactorize splits a factorization over the workers, kills one of them in
// the middle, and shows how its part goes on elsewhere.
func (s *stage) showFactorize(ctx context.Context) error {
	p, q := primeBelow(2_600_000_000), primeBelow(2_500_000_000)
	n := new(big.Int).Mul(p, q)
	title(fmt.Sprintf("Factorize %s, split over the workers; %s is killed in the middle", n, killedWorker))
	parent, err := s.client.Submit(ctx, s.group, map[string]any{
		"kind": "factorize", "title": "Factorize " + n.String(),
		"input": map[string]any{"n": n.String()}, "split": map[string]any{"parts": 6},
	})
	if err != nil {
		return err
	}
	w := newWatcher(s, parent.ID)
	var killedAt time.Time
	w.onProgress = func(worker string, percent float64) {
		if worker == killedWorker && percent > 15 && killedAt.IsZero() {
			s.workers[killedWorker].Kill()
			killedAt = time.Now()
			w.note("SIGKILL sent to %s at %.0f %% of its part", killedWorker, percent)
		}
	}
	if err := w.run(ctx); err != nil {
		return err
	}
	if killedAt.IsZero() {
		return fmt.Errorf("%s was never seen running a part", killedWorker)
	}
	if err := s.tellReassignment(ctx, parent.ID, killedAt); err != nil {
		return err
	}
	var got struct{ Factors [][]any }
	if err := s.client.Output(ctx, parent.ID, &got); err != nil {
		return err
	}
	want := fmt.Sprint([][]any{{q.String(), float64(1)}, {p.String(), float64(1)}})
	return check("factors", fmt.Sprint(got.Factors), want, "the two primes that were multiplied")
}

// tellReassignment prints the timeline of the part that lost its worker.
func (s *stage) tellReassignment(ctx context.Context, parent string, killedAt time.Time) error {
	children, err := s.client.Children(ctx, parent)
	if err != nil {
		return err
	}
	for _, c := range children {
		if c.Reassignments == 0 {
			continue
		}
		entries, err := s.client.Timeline(ctx, c.ID)
		if err != nil {
			return err
		}
		say("timeline of part %d, seconds from the kill:", *c.Index)
		for _, e := range entries {
			say("  %+7.3f  %-12s %s %s", e.At.Sub(killedAt).Seconds(), e.Event, e.Worker, e.Detail)
		}
		return nil
	}
	return fmt.Errorf("no part was reassigned")
}

// showMean takes the mean of a CSV file of 200,000 rows, split over the workers.
func (s *stage) showMean(ctx context.Context) error {
	const rows = 200_000
	file := filepath.Join(s.dir, "measurements.csv")
	exact, err := writeCSV(file, rows)
	if err != nil {
		return err
	}
	title(fmt.Sprintf("Mean of column \"celsius\" of a CSV file with %d rows, split over the workers", rows))
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	parent, err := s.client.Submit(ctx, s.group, map[string]any{
		"kind": "mean", "title": "Mean of " + filepath.Base(file),
		"input": map[string]any{"csv": string(data), "column": "celsius"},
		"split": map[string]any{"parts": 8},
	})
	if err != nil {
		return err
	}
	if err := newWatcher(s, parent.ID).run(ctx); err != nil {
		return err
	}
	var got struct {
		Mean  float64
		Count int
	}
	if err := s.client.Output(ctx, parent.ID, &got); err != nil {
		return err
	}
	if err := check("count", strconv.Itoa(got.Count), strconv.Itoa(rows), "rows written"); err != nil {
		return err
	}
	return check("mean", strconv.FormatFloat(got.Mean, 'g', -1, 64), strconv.FormatFloat(exact, 'g', -1, 64), "sum of fractions, rounded once")
}

// writeCSV writes rows of plausible measurements, always the same ones, and
// returns the exact mean of a column, rounded once.
func writeCSV(file string, rows int) (float64, error) {
	f, err := os.Create(file)
	if err != nil {
		return 0, err
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	sum, w := new(big.Rat), csv.NewWriter(f)
	_ = w.Write([]string{"station", "minute", "celsius"}) // kept by Writer.Error
	for i := range rows {
		v := 15 + 10*rnd.NormFloat64()
		sum.Add(sum, new(big.Rat).SetFloat64(v))
		_ = w.Write([]string{"S" + strconv.Itoa(i%40), strconv.Itoa(i / 40), strconv.FormatFloat(v, 'g', -1, 64)})
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return 0, err
	}
	mean, _ := sum.Quo(sum, big.NewRat(int64(rows), 1)).Float64()
	return mean, f.Close()
}

// showCrawl crawls a small site that the demo serves itself.
func (s *stage) showCrawl(ctx context.Context) error {
	site := httptest.NewServer(http.HandlerFunc(page))
	defer site.Close()
	title("Crawl a site of 15 pages that this demo serves at " + site.URL)
	parent, err := s.client.Submit(ctx, s.group, map[string]any{
		"kind": "crawl", "title": "Crawl the demo site",
		"input": map[string]any{"urls": []string{site.URL + "/page/1", site.URL + "/page/2"}, "max_pages": 40, "same_host": true},
		"split": map[string]any{"parts": 2},
	})
	if err != nil {
		return err
	}
	if err := newWatcher(s, parent.ID).run(ctx); err != nil {
		return err
	}
	var got struct {
		Pages []struct {
			URL    string
			Status int
		}
	}
	if err := s.client.Output(ctx, parent.ID, &got); err != nil {
		return err
	}
	var found, want []string
	for _, p := range got.Pages {
		found = append(found, strings.TrimPrefix(p.URL, site.URL))
	}
	for i := 1; i <= 15; i++ {
		want = append(want, "/page/"+strconv.Itoa(i))
	}
	slices.Sort(want)
	return check("pages", strings.Join(found, " "), strings.Join(want, " "), "the pages that are linked")
}

// page i links to 2i and 2i+1, up to 15.
func page(w http.ResponseWriter, r *http.Request) {
	i, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/page/"))
	if err != nil || i < 1 || i > 15 {
		http.NotFound(w, r)
		return
	}
	_, _ = fmt.Fprintf(w, "<title>Page %d</title>", i)
	for _, next := range []int{2 * i, 2*i + 1, 1} {
		if next <= 15 {
			_, _ = fmt.Fprintf(w, `<a href="/page/%d">%d</a>`, next, next)
		}
	}
}

func primeBelow(n int64) *big.Int {
	for p := big.NewInt(n - 1); ; p.Sub(p, big.NewInt(1)) {
		if p.ProbablyPrime(20) {
			return p
		}
	}
}
