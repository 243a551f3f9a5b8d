/* Opens many streams at once and times what comes: `streams PORT COUNT KEY BODYFILE`. One thread, epoll, 127.0.0.1 only.
 *
 * Prints one line of JSON: streams that came whole, events, milliseconds to the first byte of a body (p50, p99, counted from
 * the moment at which all requests are sent), and the milliseconds that events were under way, by the "t" in them (mock.c). */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { most_events = 1 << 20, patience_s = 60 };

struct stream {
  int fd, in_body, begun, matched_head, matched_time, matched_end;
  uint64_t time;
};

static const char head_end[] = "\r\n\r\n", time_key[] = "\"t\":", body_end[] = "[DONE]\n\n\r\n0\r\n\r\n";
static double *first, *lags;
static long firsts, events, whole;

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* How much of the text has been matched with one more character; texts here do not overlap themselves but by one. */
static int match(const char *text, int matched, char c) { return c == text[matched] ? matched + 1 : c == text[0]; }

static void take(struct stream *s, char c, uint64_t at) {
  if (s->matched_time == 4 && c >= '0' && c <= '9') { s->time = s->time * 10 + (uint64_t)(c - '0'); return; }
  if (s->matched_time == 4) {
    if (events < most_events) lags[events++] = (double)(at - s->time) / 1e6;
    s->matched_time = 0;
    s->time = 0;
  }
  s->matched_time = match(time_key, s->matched_time, c);
  /* The chunk that ends the stream may be one with the last event, or one of its own. */
  s->matched_end = match(body_end, s->matched_end, c);
}

/* False when it has ended, whole or not. */
static int receive(struct stream *s, uint64_t since) {
  char bytes[65536];
  ssize_t got = read(s->fd, bytes, sizeof bytes);
  uint64_t at = now();
  if (got < 0 && errno == EAGAIN) return 1;
  if (got <= 0) return 0;
  for (ssize_t i = 0; i < got; i++) {
    if (s->in_body) { take(s, bytes[i], at); continue; }
    s->matched_head = match(head_end, s->matched_head, bytes[i]);
    s->in_body = s->matched_head == 4;
    if (s->in_body && i + 1 == got) return 1;
  }
  if (s->in_body && !s->begun) {
    s->begun = 1;
    first[firsts++] = (double)(at - since) / 1e6;
  }
  if (s->matched_end < (int)sizeof body_end - 1) return 1;
  whole++;
  return 0;
}

static int dial(int port) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (connect(fd, (void *)&at, sizeof at)) { perror("streams"); exit(1); }
  return fd;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double quantile(double *values, long n, double q) { return n ? values[(long)(q * (double)(n - 1) + 0.5)] : 0; }

static int request_of(char *into, size_t room, char **arguments) {
  char body[4096];
  FILE *file = fopen(arguments[4], "r");
  if (!file) { perror(arguments[4]); exit(1); }
  size_t length = fread(body, 1, sizeof body - 1, file);
  fclose(file);
  body[length] = 0;
  return snprintf(into, room,
    "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\n"
    "Content-Length: %zu\r\n\r\n%s", arguments[3], length, body);
}

int main(int count, char **arguments) {
  if (count != 5) { fprintf(stderr, "streams PORT COUNT KEY BODYFILE\n"); return 2; }
  int n = atoi(arguments[2]), epoll = epoll_create1(0), open = n;
  char request[8192];
  int length = request_of(request, sizeof request, arguments);
  struct stream *all = calloc((size_t)n, sizeof *all);
  first = malloc((size_t)n * sizeof *first);
  lags = malloc(most_events * sizeof *lags);
  for (int i = 0; i < n; i++) {
    all[i].fd = dial(atoi(arguments[1]));
    epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &(struct epoll_event){.events = EPOLLIN, .data.ptr = &all[i]});
  }
  /* A proxy that has just taken the connections is given the time to be idle again. */
  usleep(200000);
  uint64_t since = now();
  for (int i = 0; i < n; i++) if (write(all[i].fd, request, (size_t)length) != length) return 1;
  while (open > 0 && now() - since < patience_s * 1000000000ull) {
    struct epoll_event ready[512];
    int got = epoll_wait(epoll, ready, 512, 1000);
    for (int i = 0; i < got; i++) {
      struct stream *s = ready[i].data.ptr;
      if (receive(s, since)) continue;
      epoll_ctl(epoll, EPOLL_CTL_DEL, s->fd, NULL);
      open--;
    }
  }
  qsort(first, (size_t)firsts, sizeof *first, by_size);
  qsort(lags, (size_t)events, sizeof *lags, by_size);
  printf("{\"whole\":%ld,\"events\":%ld,\"firstP50\":%.3f,\"firstP99\":%.3f,\"lagP50\":%.3f,\"lagP99\":%.3f}\n", whole, events,
    quantile(first, firsts, 0.5), quantile(first, firsts, 0.99), quantile(lags, events, 0.5), quantile(lags, events, 0.99));
  return 0;
}
