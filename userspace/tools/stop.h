/* SPDX-License-Identifier: MIT */
/* Signals that ask the tool to stop: it cleans up first, then obeys. */
#ifndef PINDROP_TOOL_STOP_H
#define PINDROP_TOOL_STOP_H

void stop_catch(void);
int stop_asked(void);
void stop_obey(void);

#endif /* PINDROP_TOOL_STOP_H */
