"""What whoever runs Latchkey sees and does: health, metrics, logs, doctor, emergencies."""
