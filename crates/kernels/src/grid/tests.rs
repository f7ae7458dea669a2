use super::*;

fn sampler(interpolation: Interpolation, padding: Padding) -> Sampler {
    Sampler { interpolation, padding, align_corners: false, rank: 2 }
}

const SIZES: Grid = Grid { n: 1, c: 2, plane: [1, 3, 4], points: 3 };

#[test]
fn gradients_are_those_of_differences() {
    let x: Vec<f64> = (0..24).map(|i| f64::from(i * i % 13)).collect();
    let grid = [0.11, -0.42, -0.93, 0.77, 0.35, 1.4];
    let g: Vec<f64> = (0..6).map(|i| f64::from(i % 4) - 1.5).collect();
    let loss = |s: &Sampler, x: &[f64], grid: &[f64]| {
        let mut y = [0.0; 6];
        sample(s, SIZES, x, grid, &mut y);
        y.iter().zip(&g).map(|(y, g)| y * g).sum::<f64>()
    };
    for padding in [Padding::Zeros, Padding::Border, Padding::Reflection] {
        for interpolation in [Interpolation::Linear, Interpolation::Cubic] {
            let s = sampler(interpolation, padding);
            let (mut gx, mut gg) = ([0.0; 24], [0.0; 6]);
            sample_input_grad(&s, SIZES, &g, &grid, &mut gx);
            sample_grid_grad(&s, SIZES, &g, &x, &grid, &mut gg);
            let near = |f: &dyn Fn(f64) -> f64| (f(1e-5) - f(-1e-5)) / 2e-5;
            for i in 0..24 {
                let moved = near(&|h| {
                    let mut x = x.clone();
                    x[i] += h;
                    loss(&s, &x, &grid)
                });
                assert!((moved - gx[i]).abs() < 1e-6);
            }
            for i in 0..6 {
                let moved = near(&|h| {
                    let mut grid = grid;
                    grid[i] += h;
                    loss(&s, &x, &grid)
                });
                assert!((moved - gg[i]).abs() < 1e-4, "{padding:?} {interpolation:?} {i}: {moved} {}", gg[i]);
            }
        }
    }
}

#[test]
fn nearest_takes_elements() {
    let x: Vec<f32> = (0..24).map(|i| i as f32).collect();
    let mut y = [0.0; 6];
    let grid = [-0.75, -0.7, 0.75, 0.7, 5.0, 0.0];
    sample(&sampler(Interpolation::Nearest, Padding::Zeros), SIZES, &x, &grid, &mut y);
    assert_eq!(y, [0.0, 11.0, 0.0, 12.0, 23.0, 0.0]);
}
