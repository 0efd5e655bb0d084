/* The floor: what no program can go below. */
int main(void) { return 0; }
