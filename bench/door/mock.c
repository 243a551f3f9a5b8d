/* An upstream that costs next to nothing: one thread, epoll, 127.0.0.1 only. `mock PORT`.
 *
 * A GET is answered with `ok`. A POST is answered with a chat completion of 594 bytes; one whose body has "stream":true with
 * server-sent events, "events":N of them (200), "pace_us":N microseconds apart (0: as fast as the socket takes them). Each is
 * one write and has the time at which it was sent, "t":NANOSECONDS of CLOCK_MONOTONIC, for bench/door/streams.c. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { most_connections = 16384, most_request = 65536 };

struct connection {
  char *in;
  int used;
  int left; /* events still to send; -1 while it streams nothing */
  int place; /* in `streaming` */
  uint64_t due, pace;
};

static struct connection connections[most_connections];
static int streaming[most_connections], streams;
static char answer[2048];
static int answer_length;

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void send_all(int fd, const char *bytes, int length) {
  while (length > 0) {
    ssize_t sent = send(fd, bytes, (size_t)length, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) { usleep(50); continue; }
    if (sent < 0) return;
    bytes += sent;
    length -= (int)sent;
  }
}

static void end_stream(int fd) {
  struct connection *c = &connections[fd];
  if (c->left < 0) return;
  c->left = -1;
  streaming[c->place] = streaming[--streams];
  connections[streaming[c->place]].place = c->place;
}

static void hang_up(int fd) {
  end_stream(fd);
  free(connections[fd].in);
  connections[fd].in = NULL;
  close(fd);
}

static void begin_stream(int fd, const char *body) {
  static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
                             "Transfer-Encoding: chunked\r\n\r\n";
  struct connection *c = &connections[fd];
  const char *events = strstr(body, "\"events\":"), *pace = strstr(body, "\"pace_us\":");
  c->left = events ? atoi(events + 9) : 200;
  c->pace = pace ? strtoull(pace + 10, NULL, 10) * 1000 : 0;
  c->due = now();
  c->place = streams;
  streaming[streams++] = fd;
  send_all(fd, head, sizeof head - 1);
}

static void next_event(int fd) {
  struct connection *c = &connections[fd];
  char data[512], chunk[640];
  if (c->left == 0) {
    static const char last[] = "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";
    send_all(fd, last, sizeof last - 1);
    return end_stream(fd);
  }
  int length = snprintf(data, sizeof data,
    "data: {\"id\":\"chatcmpl-0123456789abcdef\",\"object\":\"chat.completion.chunk\",\"created\":1730000000,"
    "\"model\":\"mock-model\",\"t\":%llu,\"choices\":[{\"index\":0,\"delta\":{\"content\":\" token\"},"
    "\"finish_reason\":null}]}\n\n", (unsigned long long)now());
  send_all(fd, chunk, snprintf(chunk, sizeof chunk, "%x\r\n%s\r\n", length, data));
  c->left--;
  c->due += c->pace;
}

/* Answers what is whole; says whether another request may follow at once. */
static int take_request(int fd) {
  struct connection *c = &connections[fd];
  c->in[c->used] = 0;
  char *end = memmem(c->in, (size_t)c->used, "\r\n\r\n", 4);
  if (!end) return 0;
  int head = (int)(end - c->in) + 4;
  *end = 0;
  char *length = strcasestr(c->in, "\r\ncontent-length:");
  *end = '\r';
  int whole = head + (length ? atoi(length + 17) : 0);
  if (c->used < whole) return 0;
  char kept = c->in[whole];
  c->in[whole] = 0;
  int stream = strstr(c->in + head, "\"stream\":true") != NULL;
  if (stream) begin_stream(fd, c->in + head);
  else if (!strncmp(c->in, "GET ", 4)) send_all(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 40);
  else send_all(fd, answer, answer_length);
  c->in[whole] = kept;
  memmove(c->in, c->in + whole, (size_t)(c->used -= whole));
  return !stream;
}

static void receive(int fd) {
  struct connection *c = &connections[fd];
  ssize_t got = read(fd, c->in + c->used, (size_t)(most_request - 1 - c->used));
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) return hang_up(fd);
  c->used += (int)got;
  while (take_request(fd));
}

static int listen_on(int port) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd, (void *)&at, sizeof at) || listen(fd, 4096)) { perror("mock"); exit(1); }
  return fd;
}

static void take_connection(int epoll, int listener) {
  int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK), one = 1;
  if (fd < 0) return;
  if (fd >= most_connections) { close(fd); return; }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  connections[fd] = (struct connection){.in = malloc(most_request), .left = -1};
  epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = fd});
}

static void make_answer(void) {
  char content[331], body[1400];
  for (int i = 0; i < 330; i++) content[i] = "The quick brown fox jumps over the lazy dog. "[i % 45];
  content[330] = 0;
  int length = snprintf(body, sizeof body,
    "{\"id\":\"chatcmpl-0123456789abcdef\",\"object\":\"chat.completion\",\"created\":1730000000,\"model\":\"mock-model\","
    "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%s\"},\"finish_reason\":\"stop\"}],"
    "\"usage\":{\"prompt_tokens\":32,\"completion_tokens\":64,\"total_tokens\":96}}", content);
  answer_length = snprintf(answer, sizeof answer,
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", length, body);
}

int main(int count, char **arguments) {
  if (count != 2) { fprintf(stderr, "mock PORT\n"); return 2; }
  make_answer();
  int listener = listen_on(atoi(arguments[1])), epoll = epoll_create1(0);
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &(struct epoll_event){.events = EPOLLIN, .data.fd = listener});
  for (;;) {
    struct epoll_event ready[256];
    uint64_t due = UINT64_MAX, at = now();
    for (int i = 0; i < streams; i++) if (connections[streaming[i]].due < due) due = connections[streaming[i]].due;
    uint64_t wait = due > at ? due - at : 0;
    struct timespec timeout = {(time_t)(wait / 1000000000u), (long)(wait % 1000000000u)};
    int n = epoll_pwait2(epoll, ready, 256, streams ? &timeout : NULL, NULL);
    for (int i = 0; i < n; i++) ready[i].data.fd == listener ? take_connection(epoll, listener) : receive(ready[i].data.fd);
    at = now();
    for (int i = streams - 1; i >= 0; i--) if (connections[streaming[i]].due <= at) next_event(streaming[i]);
  }
}
