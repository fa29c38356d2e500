/* The ioctls and mappings of the server's files. Functions return a negative errno where they fail. */
#ifndef DEVICE_H
#define DEVICE_H

#include <stdbool.h>

#include "wire.h"

/* A name that the server answers for: /dev/teeN, /dev/teeprivN. */
bool is_device_name(const char *path);

int device_open(const char *path, int flags);

/* What the kernel does with a file whatever it is, before it asks the file's driver. */
bool is_for_every_file(unsigned long request);

long device_ioctl(int fd, const struct wire_greeting *file, unsigned long request, void *argument);

#endif
