package app

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are what this node counts. Labels are bounded: doors and statuses, never clients or people.
type metrics struct {
	registry      *prometheus.Registry
	requests      *prometheus.HistogramVec
	clientRefused prometheus.Counter
	ending        prometheus.Gauge
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "garde_request_seconds", Help: "Time to answer, by door and status.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}, []string{"door", "status"}),
		clientRefused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "garde_known_client_refused_total", Help: "Requests that named a known client and did not prove it.",
		}),
	}
	m.ending = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "garde_exceptions_ending", Help: "Exceptions of the recipe that end within 30 days, or have ended: garde doctor names them.",
	})
	m.registry.MustRegister(m.requests, m.clientRefused, m.ending, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// watch times every request under the pattern that routed it.
func (m *metrics) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		seen := &seenStatus{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(seen, r)
		door := r.Pattern
		if door == "" || door == "/" {
			door = "other"
		}
		m.requests.WithLabelValues(door, strconv.Itoa(seen.status)).Observe(time.Since(begun).Seconds())
	})
}

type seenStatus struct {
	http.ResponseWriter
	status int
}

func (s *seenStatus) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach what is beneath.
func (s *seenStatus) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// health answers /healthz (the process lives), /readyz (it may get requests; else why not) and /metrics.
// It answers to any Host: probers and scrapers come by bare addresses and names that nobody could list, nothing here can be
// changed, and what a page of another origin could read by rebinding a name is counts without names of people or clients.
func (m *metrics) health(problem func(*http.Request) string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { writeLine(w, http.StatusOK, "alive") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if why := problem(r); why != "" {
			writeLine(w, http.StatusServiceUnavailable, "not ready: "+why)
			return
		}
		writeLine(w, http.StatusOK, "ready")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	return mux
}

func writeLine(w http.ResponseWriter, status int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(line + "\n")) // the prober has gone: nobody is left to tell
}
