/* The floor for any program. */
int main(void) { return 0; }
